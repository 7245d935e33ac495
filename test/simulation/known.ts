// Runs that failed once, cut down to the events that matter. Each is run with several numbers, from which
// follows how long things take in it.
import { type Fate, fateOf } from './cast.ts'
import type { Choices } from './choices.ts'
import type { Event, Kind, NewMessage } from './events.ts'
import type { Files } from './files.ts'
import { simulate } from './simulation.ts'

export interface Known {
  readonly title: string
  readonly runs: readonly (readonly Event[])[]
  /** What its world must be like. */
  readonly choices?: Partial<Choices>
}

const SEEDS = 12

/** A message whose first run is like that, and whose plan fits. */
function message(kind: Kind, like: (fate: Fate) => boolean, fits = (_plan: number) => true): NewMessage {
  let plan = 1
  while (!like(fateOf(kind, plan, 1)) || fateOf(kind, plan, 1).takesDown || !fits(plan)) plan++
  return { plan, kind, address: 0, due: 'now', odd: 'no' }
}

const failsOnce = message('quick', ({ end, ms }) => end === 'throws' && ms === 0)
/** What is `soon` for it is in 1.5 s, in whole seconds (timeOf in messages.ts). */
const failsOnceAtSecond = message(
  'quick',
  ({ end, ms }) => end === 'throws' && ms === 0,
  (plan) => plan % 3 > 0 && plan % 5 === 4,
)
const replies = message('quick', ({ end, ms }) => end === 'replies' && ms === 0)
const failsLate = message('slow', ({ end, ms }) => end === 'throws' && ms === 30)
const failsFree = message('free', ({ end, ms }) => end === 'throws' && ms > 0)
const quick = (plan: number, ms: number): NewMessage => ({
  plan,
  kind: 'quick',
  address: 0,
  due: 'now',
  odd: 'no',
  does: [{ ms }],
})
const frees = (from: number, count: number, ms = 0): NewMessage[] =>
  Array.from({ length: count }, (_, n) => ({ ...quick(from + n, ms), kind: 'free' }))
const MANY_KINDS = ['quick', 'slow', 'free', 'user', 'stuck', 'late'] as const
const nobodys = (plan: number): NewMessage => ({ plan, kind: 'nobody', address: 0, due: 'now', odd: 'no' })

/** Is to come due, and then the host gives it an earlier time. */
function movedEarlier(message: NewMessage): readonly Event[] {
  return [
    { do: 'pass', ms: 3 },
    { do: 'insert', messages: [message], hint: 'now' },
    { do: 'pass', ms: 40 },
    { do: 'earlier', pick: 0, hint: 'now' },
  ]
}

export const KNOWN: readonly Known[] = [
  {
    title: 'what is read again after a reload, and meets a lock, is not overtaken by what is new',
    runs: [0, 1, 2, 3, 4, 5].map((readsBefore) => [
      { do: 'pass', ms: 300 },
      { do: 'insert', messages: [failsOnce], hint: 'now' },
      // Its process starts, it fails, and waits for its next attempt.
      { do: 'pass', ms: 45 },
      { do: 'busy-reads', after: 0, times: 1 },
      { do: 'insert', messages: [replies], hint: 'now' },
      { do: 'call' },
      { do: 'reload', version: 2 },
      // Long enough for the new process to load.
      { do: 'busy-reads', after: readsBefore, times: 20 },
      { do: 'pass', ms: 400 },
    ]),
  },
  {
    title: 'a message that fails after a reload keeps its lane closed until it has been read again',
    runs: [0, 1, 2, 3].map((readsBefore) => [
      { do: 'pass', ms: 300 },
      { do: 'insert', messages: [failsLate], hint: 'now' },
      { do: 'pass', ms: 60 },
      { do: 'insert', messages: [replies], hint: 'now' },
      { do: 'reload', version: 2 },
      { do: 'busy-reads', after: readsBefore, times: 20 },
      { do: 'pass', ms: 400 },
    ]),
  },
  {
    title: 'a stop before the file has been read does not unsay what is open',
    // What waits for its next attempt is on record; the checkpoint lists the one behind it.
    runs: [[failsLate], [failsLate, replies]].map((messages) => [
      { do: 'pass', ms: 300 },
      { do: 'insert', messages, hint: 'now' },
      { do: 'pass', ms: 150 },
      { do: 'unreadable', how: 'gone', ms: 2_000 },
      { do: 'stop', downMs: 10 },
      { do: 'pass', ms: 60 },
      { do: 'stop', downMs: 10 },
      { do: 'pass', ms: 60 },
    ]),
  },
  {
    title:
      'what stands behind a message that the host has deleted gets its turn, though nothing else happens',
    runs: [
      [
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [failsLate], hint: 'now' },
        { do: 'pass', ms: 60 },
        { do: 'insert', messages: [replies], hint: 'now' },
        { do: 'pass', ms: 30 },
        { do: 'delete', pick: 0, hint: 'now' },
        { do: 'pass', ms: 30 },
      ],
    ],
  },
  {
    title: 'a message that the host has moved to another time and back is charged once for each attempt',
    runs: [180, 220, 240].map((ms) => [
      ...movedEarlier({ ...failsOnceAtSecond, due: 'soon' }),
      { do: 'pass', ms },
      // The same second as at first.
      { do: 'later', pick: 0, hint: 'now' },
      { do: 'pass', ms: 1_000 },
    ]),
  },
  {
    title:
      'a message that the host has moved to an earlier time and that runs is not found again in a new file',
    runs: [95, 105, 115].map((ms) => [
      ...movedEarlier({ ...failsFree, due: 'later' }),
      { do: 'pass', ms },
      // Its end is not written before the new file is found.
      { do: 'busy-commits', times: 30 },
      { do: 'unreadable', how: 'gone', ms: 50 },
      { do: 'call' },
      { do: 'pass', ms: 1 },
      { do: 'insert', messages: [replies], hint: 'now' },
      { do: 'pass', ms: 400 },
    ]),
  },
  {
    title: 'a message that comes due when no more are held is found again when its function is there',
    runs: [0, 1, 2].map((pick) => [
      { do: 'pass', ms: 3 },
      { do: 'insert', messages: [nobodys(1), nobodys(2)], hint: 'now' },
      { do: 'insert', messages: [{ ...nobodys(3), kind: 'late', due: 'later' }], hint: 'now' },
      { do: 'pass', ms: 40 },
      { do: 'earlier', pick, hint: 'now' },
      { do: 'pass', ms: 300 },
      { do: 'reload', version: 1 },
    ]),
  },
  {
    title: 'a stop waits until what was refused is on disk',
    runs: [
      [
        { do: 'pass', ms: 300 },
        { do: 'busy-commits', times: 2 },
        { do: 'insert', messages: [{ ...replies, odd: 'too-large' }], hint: 'now' },
        { do: 'pass', ms: 5 },
        { do: 'stop', downMs: 10 },
        { do: 'pass', ms: 200 },
      ],
    ],
  },
  ...(['sqlite', 'memory'] as const).map(
    (store): Known => ({
      title: `a message that is handed back, and whose claim is gone, does not overtake its lane in ${store}`,
      choices: { stores: [store], pollMs: 100 },
      runs: [
        [
          { do: 'pass', ms: 300 },
          // The function turns out to be quick, so that a process gets several messages.
          { do: 'insert', messages: [0, 1, 2, 3].map((plan) => quick(plan, 0)), hint: 'now' },
          { do: 'pass', ms: 300 },
          { do: 'insert', messages: [quick(4, 280), quick(5, 0), quick(6, 0)], hint: 'now' },
          { do: 'until', situation: 'running' },
          { do: 'unclaim', pick: 2, all: false, backOff: false },
          { do: 'pass', ms: 600 },
        ],
      ],
    }),
  ),
  {
    title: 'a runtime that dies in a commit after a reload does nothing more',
    choices: { stores: ['memory'] },
    runs: [
      [
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [replies], hint: 'now' },
        { do: 'until', situation: 'claims-asked' },
        { do: 'reload', version: 2 },
        { do: 'crash', afterEffects: 0, downMs: 10, before: 'a transaction' },
        { do: 'pass', ms: 400 },
      ],
    ],
  },
  {
    title: 'a scan that is under way reads no row of another file before it has missed its own',
    choices: { stores: ['sqlite'], small: true },
    runs: [1, 2, 3, 4].map((calls) => [
      { do: 'pass', ms: 300 },
      { do: 'insert', messages: frees(0, 14), hint: 'now' },
      ...Array.from({ length: calls }, (): Event => ({ do: 'call' })),
      { do: 'swap', messages: frees(14, 10), goneMs: 2_000 },
      { do: 'pass', ms: 500 },
    ]),
  },
  {
    title: 'a page that arrives with its last row first lets no row in before an earlier one of its key',
    choices: { stores: ['sqlite'], small: true },
    runs: [
      [
        { do: 'pass', ms: 300 },
        // The lanes are full, and the source reads beyond the scan.
        { do: 'insert', messages: frees(0, 10, 250), hint: 'now' },
        { do: 'until', situation: 'running' },
        { do: 'odd-pages', how: 'turns-round', times: 9 },
        {
          do: 'insert',
          messages: [20, 21, 22].map((plan) => ({ ...quick(plan, 0), kind: 'slow' })),
          hint: 'now',
        },
        { do: 'pass', ms: 500 },
      ],
    ],
  },
  {
    title: 'a reply that the host has delivered once is delivered, though its message comes again',
    choices: { retentionMs: 1_000 },
    runs: [
      [
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [quick(0, 0), quick(1, 0)], hint: 'now' },
        { do: 'pass', ms: 300 },
        { do: 'sync', prune: false, hint: 'now' },
        { do: 'pass', ms: 90_000 },
        { do: 'delete', pick: 0, hint: 'now' },
        { do: 'again', pick: 0, hint: 'now' },
        { do: 'pass', ms: 300 },
        { do: 'delete', pick: 0, hint: 'now' },
        { do: 'pass', ms: 90_000 },
      ],
    ],
  },
  {
    title: 'a message may be forgotten between the commit of its end and the answer',
    choices: { stores: ['late'], retentionMs: 1_000 },
    runs: [
      [
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [quick(0, 30)], hint: 'now' },
        { do: 'until', situation: 'running' },
        { do: 'slow-commit', writeMs: 5, answerMs: 9_000 },
        { do: 'until', situation: 'ends-written' },
        { do: 'sync', prune: false, hint: 'now' },
        { do: 'pass', ms: 10_000 },
      ],
    ],
  },
  {
    title: 'a message that is inserted again in another file gets another number',
    choices: { stores: ['sqlite'] },
    runs: [
      [
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [quick(1, 0)], hint: 'now' },
        { do: 'pass', ms: 500 },
        { do: 'swap', messages: [quick(2, 0)], goneMs: 2_000 },
        { do: 'pass', ms: 1_100 },
        { do: 'again', pick: 0, hint: 'now' },
        { do: 'crash', afterEffects: 0, downMs: 10 },
        { do: 'pass', ms: 3_000 },
      ],
    ],
  },
  {
    title: 'a message that runs while another file is put in place ends beside the rows of that file',
    choices: { stores: ['sqlite'], pollMs: 100 },
    runs: [
      [
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [quick(0, 0), quick(1, 0), quick(2, 0)], hint: 'now' },
        { do: 'pass', ms: 300 },
        { do: 'insert', messages: [quick(3, 280)], hint: 'now' },
        { do: 'until', situation: 'running' },
        { do: 'swap', messages: [4, 5, 6, 7].map((plan) => quick(plan, 0)), goneMs: 5 },
        { do: 'pass', ms: 600 },
      ],
    ],
  },
  {
    title: 'while inbound.db cannot be read, no processes are started for what waits in memory',
    choices: { stores: ['sqlite'], small: false, pollMs: 1_000 },
    runs: [
      [
        { do: 'reload', version: 1 },
        { do: 'pass', ms: 300 },
        {
          do: 'insert',
          messages: MANY_KINDS.flatMap((kind, n) =>
            [0, 1, 2, 3].map((at) => ({ ...quick(4 * n + at, 0), kind, address: at })),
          ),
          hint: 'now',
        },
        { do: 'call' },
        { do: 'call' },
        { do: 'unreadable', how: 'gone', ms: 40_000 },
        { do: 'hint' },
        { do: 'pass', ms: 40_000 },
      ],
    ],
  },
]

/** @returns what does not hold, with all that happened */
export async function failureOf(
  files: Files,
  { title, runs, choices }: Known,
  seeds = SEEDS,
): Promise<string | undefined> {
  for (const events of runs)
    for (let seed = 1; seed <= seeds; seed++) {
      const { violation, trace } = await simulate(files, seed, events, { tracing: true, choices })
      if (violation) return `${violation.message} (${title})\n${trace.join('\n')}`
    }
  return undefined
}
