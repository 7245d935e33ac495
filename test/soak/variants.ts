// Deliberately wrong builds, to prove that the soak sees what it is there to see. The product has no switch for them: a
// scratch copy of the compiled files is changed as text, and a change that does not fit any more is an error.
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

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

/** A build of its own in `folder`, with the changes. @returns `folder` */
export function buildVariant(repository: string, folder: string, { name, changes }: Variant): string {
  mkdirSync(folder)
  cpSync(join(repository, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(join(repository, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'))
  const path = join(folder, 'dist/store/outbox.js')
  let text = readFileSync(path, 'utf8')
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2)
      throw new Error(
        `${name}: dist/store/outbox.js has no such place (or several); mend variants.ts:\n${from}`,
      )
    text = text.replace(from, () => to)
  }
  writeFileSync(path, text)
  return folder
}
