// Something wrong that lasts and is found again and again, reported once: a second time only when it has changed meanwhile,
// or has come back after it was over. It decides what is news; its user reports it.

export class ReportOnce {
  /** By what it is about, what was reported. */
  readonly #reported = new Map<string, string>()

  /** Whether this is to be reported now; from then on it counts as reported. `about`: where there are several things, which one. */
  isNews(fault: string, about = ''): boolean {
    if (this.has(fault, about)) return false
    this.#reported.set(about, fault)
    return true
  }

  has(fault: string, about = ''): boolean {
    return this.#reported.get(about) === fault
  }

  /** It is over. Returns whether it had been reported. */
  over(about = ''): boolean {
    return this.#reported.delete(about)
  }

  /** All but these are over. Returns those that had been reported. */
  keepOnly(abouts: ReadonlySet<string>): readonly string[] {
    return [...this.#reported.keys()].filter((about) => !abouts.has(about) && this.over(about))
  }
}
