// One check: its claim, the section of docs/protocol.md with the rule, and the remedy.

export interface Check {
  readonly claim: string
  /** The heading. */
  readonly section: string
  readonly remedy: string
}

export function check(claim: string, section: string, remedy: string): Check {
  return { claim, section, remedy }
}
