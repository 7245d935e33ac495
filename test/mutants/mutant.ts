// A fault put into the core on purpose.
export interface Change {
  /** In runtime/. */
  readonly file: string
  readonly from: string
  readonly to: string
}

export interface Mutant {
  readonly name: string
  readonly changes: readonly Change[]
}

/** A change in one place. */
export function one(name: string, file: string, from: string, to: string): Mutant {
  return { name, changes: [{ file, from, to }] }
}
