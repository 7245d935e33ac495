// Collects the faults of one definition, so that its author reads all of them at once. A definition comes
// from a child as JSON; a value that JSON does not have arrives as a text such as `[function]` or `[RegExp]`,
// and is reported as its original type.
import { NanoclawError } from '../protocol/errors.ts'
import { nearest } from '../protocol/nearest.ts'

export type Fields = Readonly<Record<string, unknown>>

const FOUND_CHARS_MAX = 60
const UNSAYABLE = /^\[(function|symbol|bigint|object|too deep|-Infinity|[A-Z]\w*)\]$/

export class Faults {
  readonly #file: string
  readonly #lines: string[] = []

  constructor(file: string) {
    this.#file = file
  }

  /** Adds the fault that `field` has the value `found`, which is not `legal`. */
  wrong(field: string, found: unknown, legal: string): void {
    this.#lines.push(`${this.#file}: ${field} is ${describe(found)}; expected ${legal}`)
  }

  /**
   * Adds a fault for each field of `fields` that is not in `legal`; `where` is a prefix that ends in a dot,
   * or empty.
   */
  unknownFields(where: string, fields: Fields, legal: readonly string[]): void {
    for (const field of Object.keys(fields)) {
      if (legal.includes(field)) continue
      const meant = nearest(field, legal)
      const hint = meant === undefined ? '' : `Did you mean ${where}${meant}? `
      this.#lines.push(`${this.#file}: ${where}${field} is unknown. ${hint}Legal: ${legal.join(', ')}`)
    }
  }

  /** @throws NanoclawError `bad_function` with all faults, if any. */
  throwIfAny(): void {
    if (this.#lines.length > 0) throw new NanoclawError('bad_function', this.#lines.join('\n'))
  }
}

/** Text of the author, and not the replacement of a function or a RegExp. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !UNSAYABLE.test(value)
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function describe(found: unknown): string {
  if (found === undefined) return 'missing'
  if (typeof found === 'string' && UNSAYABLE.test(found)) return found
  const text = JSON.stringify(found) ?? String(found)
  return text.length > FOUND_CHARS_MAX ? `${text.slice(0, FOUND_CHARS_MAX)}…` : text
}
