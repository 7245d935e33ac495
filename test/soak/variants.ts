// Deliberately wrong builds, to prove that the soak sees what it is there to see. The product has no switch for them: a
// scratch copy of the compiled files is changed as text, and a change that does not fit any more is an error.

export interface Variant {
  readonly name: string
  /** What the soak has to find, as it words it. */
  readonly symptom: RegExp
  readonly changes: readonly (readonly [from: string, to: string])[]
}

export const VARIANTS: readonly Variant[] = [
  {
    name: 'ack and replies in two transactions',
    symptom: /^I2 .* is completed with replies \[\]/,
    changes: [
      [
        `        if (ours && verdict.type === 'completed')\n`,
        `        if (ours && verdict.type === 'completed') {
            this.#db.exec('commit');
            this.#db.exec('begin immediate');
            this.#reach?.('in-finish-after-reply');
        }
        if (ours && verdict.type === 'completed')\n`,
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
