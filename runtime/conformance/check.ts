// What one check is: the claim that it makes, where the rule stands in docs/protocol.md, and what to do when it is broken.

export interface Check {
  readonly claim: string
  /** The heading. */
  readonly section: string
  readonly remedy: string
}

export function check(claim: string, section: string, remedy: string): Check {
  return { claim, section, remedy }
}
