// What did not hold in a simulated world.

export class Violation extends Error {
  override readonly name = 'Violation'
}

/** What did not hold in a world: the first thing that went wrong is what counts. */
export class Findings {
  violation: Error | undefined

  keep(error: unknown): Error {
    this.violation ??= error instanceof Error ? error : new Error(String(error))
    return this.violation
  }

  fail(text: string): never {
    throw this.keep(new Violation(text))
  }
}
