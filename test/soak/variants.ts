// Deliberately wrong builds, to prove that the soak sees what it is there to see. The product has no switch
// for them: a scratch copy of the compiled files is changed as text, and a change that does not fit any more
// is an error.

export interface Variant {
  readonly name: string
  /** What the soak has to find, as it words it. */
  readonly symptom: RegExp
  readonly changes: readonly (readonly [from: string, to: string])[]
}

/** Where a variant changes the compiled runtime. */
export const CHANGED = 'dist/store/sqlite/outbox.js'

/** @throws Error when the text has no such place, or several */
export function changed(text: string, { name, changes }: Variant): string {
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2)
      throw new Error(
        `${name}: ${CHANGED} has no such place (or several); mend test/soak/variants.ts:\n${from}`,
      )
    text = text.replace(from, () => to)
  }
  return text
}

export const VARIANTS: readonly Variant[] = [
  {
    name: 'ack and replies in two transactions',
    symptom: /^I2 .* is completed with replies \[\]/,
    changes: [
      [
        `        if (ours && next.type === 'completed')\n`,
        `        if (ours && next.type === 'completed') {
            this.#db.exec('commit');
            this.#db.exec('begin immediate');
            this.#reach?.('in-finish-after-reply');
        }
        if (ours && next.type === 'completed')\n`,
      ],
    ],
  },
  {
    name: 'claims kept in memory until the run has ended',
    symptom: /^I7 lost attempt/,
    changes: [
      [
        `            this.#sql.beginBatch.run(`,
        `            if (Date.now() === 0) this.#sql.beginBatch.run(`,
      ],
    ],
  },
]
