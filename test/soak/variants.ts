// Deliberately wrong builds, to prove that the soak sees what it is there to see. The product has no switch
// for them: a scratch copy of the compiled files is changed as text, and a change that does not fit any more
// is an error.

export interface Variant {
  readonly name: string
  /** Of the compiled runtime, in dist/. */
  readonly file: string
  /** What the soak has to find, as it words it. */
  readonly symptom: RegExp
  readonly changes: readonly (readonly [from: string, to: string])[]
}

/** @throws Error when the text has no such place, or several */
export function changed(text: string, { name, file, changes }: Variant): string {
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2)
      throw new Error(
        `${name}: dist/${file} has no such place (or several); mend test/soak/variants.ts:\n${from}`,
      )
    text = text.replace(from, () => to)
  }
  return text
}

const OUTBOX = 'store/sqlite/outbox.js'
const JOURNAL = 'store/sqlite/journal.js'
/** What was one transaction is two, and the process may end between them. */
const inTwo = (point: string) => `
            this.#db.exec('commit');
            this.#db.exec('begin immediate');
            this.#reach?.('${point}');`

export const VARIANTS: readonly Variant[] = [
  {
    name: 'ack and replies in two transactions',
    file: OUTBOX,
    symptom: /^I2 .* is completed with replies /,
    changes: [
      [
        `            if (ours && next.type === 'completed')\n`,
        `            if (ours && next.type === 'completed') {${inTwo('in-finish-after-reply')}
            }
            if (ours && next.type === 'completed')\n`,
      ],
    ],
  },
  {
    name: 'claims kept in memory until the run has ended',
    file: OUTBOX,
    symptom: /^I7 lost attempt/,
    changes: [
      [
        `            this.#sql.beginBatch.run(`,
        `            if (Date.now() === 0) this.#sql.beginBatch.run(`,
      ],
    ],
  },
  {
    name: 'a step goes on before it is on disk',
    file: 'dispatcher.js',
    symptom: /^I12 .* begins though it is on disk/,
    changes: [
      ['        this.#gathered.steps.push({\n', '        kept();\n        this.#gathered.steps.push({\n'],
      ['            kept,\n        });\n', '            kept: () => undefined,\n        });\n'],
    ],
  },
  {
    name: 'steps that no child knows of are forgotten by a start',
    file: OUTBOX,
    symptom: /^I12 .* begins though it is on disk/,
    changes: [
      [
        '                if (!poison)\n',
        `                this.#db.prepare('delete from nanoclaw_step where message_id = ? and run = ?').run(id, was.run);
                if (!poison)\n`,
      ],
    ],
  },
  {
    name: 'question and wait in two transactions',
    file: OUTBOX,
    symptom: /^I13 .* has asked what it does not wait for/,
    changes: [
      [
        '                const replies = (next.from ?? 0) + next.replies.length;\n',
        `                const replies = (next.from ?? 0) + next.replies.length;${inTwo('in-suspend')}\n`,
      ],
    ],
  },
  {
    name: 'an answer and its ack in two transactions',
    file: OUTBOX,
    symptom: /^I13 .* is completed, nothing/,
    changes: [
      [
        '            const woken = this.#journal.answer(answer, nowMs);\n',
        `            ${inTwo('in-answer').trim()}\n            const woken = this.#journal.answer(answer, nowMs);\n`,
      ],
    ],
  },
  {
    name: 'the last of two answers wins',
    file: JOURNAL,
    symptom: /^I13 /,
    changes: [
      [
        "where question_id = :questionId and state = 'open' returning",
        'where question_id = :questionId returning',
      ],
    ],
  },
  {
    name: 'a message that runs again waits as before',
    file: JOURNAL,
    symptom: /^I14 .* waits, and has an ack/,
    changes: [
      [
        "wake: 'delete from nanoclaw_waiting where message_id in (select value from json_each(?)) returning message_id'",
        "wake: 'update nanoclaw_waiting set ready = 1 where message_id in (select value from json_each(?)) returning message_id'",
      ],
    ],
  },
  {
    name: 'waits of a message that has ended stay open',
    file: JOURNAL,
    symptom: /^I14 .* (has ended, and has a wait that is open|has taken an answer after its end)/,
    changes: [
      [
        "closeWaits: `update nanoclaw_step set state = 'closed'",
        "closeWaits: `update nanoclaw_step set state = 'open'",
      ],
    ],
  },
  {
    name: 'what went out with a wait is said again',
    file: 'child/replies.js',
    symptom: /^I2 /,
    changes: [
      ['this.#list.filter((reply) => !take(sent, hashOf(reply)) && !(isAlone && isFirst))', 'this.#list'],
    ],
  },
  {
    name: 'a message that waits does not hold its lane',
    file: 'sources/inbound.js',
    symptom: /^I4 .* waits and holds/,
    changes: [
      ['        else if (spec.holdsWhileWaiting)\n', '        else if (spec.holdsWhileWaiting === 0)\n'],
    ],
  },
  {
    name: 'a sleep ends after half of its time',
    file: JOURNAL,
    symptom: /^I8 sleep/,
    changes: [['nowMs + until.forMs :', 'nowMs + until.forMs / 2 :']],
  },
]
