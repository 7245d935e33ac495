// Reports a lasting problem once: again only when it has changed, or has come back after it was over. This
// class decides; its user reports.

export class ReportOnce {
  /** Subject → the reported problem. */
  readonly #reported = new Map<string, string>()

  /** Whether to report this now; marks it as reported. `about`: the subject, where there are several. */
  isNews(fault: string, about = ''): boolean {
    if (this.has(fault, about)) return false
    this.#reported.set(about, fault)
    return true
  }

  has(fault: string, about = ''): boolean {
    return this.#reported.get(about) === fault
  }

  /** Marks it as over. Returns whether it had been reported. */
  over(about = ''): boolean {
    return this.#reported.delete(about)
  }

  /** Marks all but these as over. Returns those that had been reported. */
  keepOnly(abouts: ReadonlySet<string>): readonly string[] {
    return [...this.#reported.keys()].filter((about) => !abouts.has(about) && this.over(about))
  }
}
