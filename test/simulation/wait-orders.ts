// Hostile orders of events around messages that wait, and answers: see orders.ts.
import type { Fate } from './cast.ts'
import type { Event, Hint, NewMessage } from './events.ts'
import { insert, LATE, message, ONE, type Order, pass, until, up } from './order.ts'
import { OPTIONS, type PlannedWait } from './scripts.ts'

const ASK: PlannedWait = { kind: 'ask', ms: 20_000, values: OPTIONS }
const TEXT: PlannedWait = { kind: 'ask', ms: 20_000 }
const EITHER: PlannedWait = { ...ASK, freeText: true }

interface Manner {
  readonly races?: boolean
  readonly ms?: number
  readonly kind?: 'asks' | 'holds'
  readonly steps?: number
}

/** A message whose handler does a step and waits, once for each of these; `ms`: how long each run takes. */
function asks(
  plan: number,
  waits: readonly (readonly PlannedWait[])[],
  { races = false, ms = 0, kind = 'asks', steps = 1 }: Manner = {},
  does: readonly Partial<Fate>[] = [{ ms }],
): NewMessage {
  const section = { steps, races, replies: 1 }
  const script = [...waits.map((waits) => ({ ...section, waits })), { ...section, waits: [] }]
  return message(plan, does, { kind, script })
}

const answer = (plan: number, pick: number, hint: Hint = 'now'): Event => ({
  do: 'answer',
  plan,
  pick,
  how: 'once',
  hint,
})
const say = (plan: number, times: number, due: NewMessage['due'] = 'now'): Event => ({
  do: 'say',
  plan,
  pick: 0,
  times,
  due,
  hint: 'now',
})

export const WAIT_ORDERS: readonly Order[] = [
  {
    title: 'a question is answered in the commit in which its message waits for something else',
    mutant: 'an answer in the commit of a wait does not wake',
    choices: ONE,
    runs: [2, 3].map((times) => [
      up,
      insert([asks(1, [[ASK, ASK], [ASK]], { races: true, ms: 40, steps: 0 })]),
      until('suspended'),
      answer(11, 0),
      until('running'),
      { do: 'busy-commits', times },
      until('finishing'),
      answer(12, 0),
      pass(2_000),
    ]),
  },
  {
    title: 'two chat messages come for one question, and the commit of the first one fails',
    mutant: 'two messages are taken for the answer to one question',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[TEXT]])]),
        until('suspended'),
        { do: 'busy-commits', times: 2 },
        say(11, 2),
        pass(2_000),
      ],
    ],
  },
  {
    title: 'an option and a chat message answer one question while commits fail',
    mutant: 'a chat message for a question that is answered already is swallowed',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[EITHER]])]),
        until('suspended'),
        { do: 'busy-commits', times: 2 },
        answer(11, 0),
        say(12, 1),
        pass(2_000),
      ],
    ],
  },
  {
    title: 'a chat message that is due later waits, and another one answers the question',
    mutant: 'what is due later is taken for an answer',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[TEXT]])]),
        until('suspended'),
        say(11, 1, 'far'),
        pass(50),
        say(12, 1),
        pass(2_000),
      ],
    ],
  },
  {
    title: 'an answer comes while no runtime is up, or the runtime is killed when the answer is on disk',
    mutant: 'the answer is lost with the runtime that has written it',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[ASK]])]),
        until('suspended'),
        { do: 'stop', downMs: 500 },
        pass(100),
        answer(11, 0, 'lost'),
        pass(3_000),
      ],
      [
        up,
        insert([asks(1, [[ASK]])]),
        until('suspended'),
        { do: 'crash', afterEffects: 0, downMs: 10, before: 'what follows a commit' },
        answer(11, 0),
        pass(3_000),
      ],
    ],
  },
  {
    title: 'a sleep is to end after a start of the runtime',
    mutant: 'a start does not look when waits end',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[{ kind: 'sleep', ms: 20_000 }]])]),
        until('suspended'),
        { do: 'stop', downMs: 10 },
        pass(60_000),
      ],
    ],
  },
  {
    title: 'the time of a question is up in the millisecond of its answer',
    mutant: 'an answer that comes too late counts',
    choices: ONE,
    runs: [0, 1].flatMap((n) =>
      [297, 298, 299, 300, 301, 305].map((ms) => [
        up,
        insert([asks(1 + n, [[{ ...ASK, ms: 300 }], [ASK]], { kind: n === 0 ? 'asks' : 'holds' })]),
        until('suspended'),
        pass(ms),
        answer(11, 0),
        pass(20),
        { do: 'answer', plan: 13, pick: 0, how: 'over', hint: 'now' } as const,
        pass(2_000),
      ]),
    ),
  },
  {
    title: 'a wait ends while its function is loaded anew, and others stand behind it',
    mutant: 'what keeps its lane waiting lets it go when the functions change',
    choices: ONE,
    runs: [250, 299, 300].map((ms) => [
      up,
      insert([asks(1, [[{ kind: 'sleep', ms: 300 }], [ASK]], { kind: 'holds' }), message(2), message(3)]),
      until('suspended'),
      pass(ms),
      { do: 'busy-reads', after: 0, times: 2 },
      { do: 'reload', version: 2 },
      pass(1_000),
      answer(11, 0),
      pass(2_000),
    ]),
  },
  {
    title: 'a start finds a message that keeps its lane waiting, and others behind it',
    mutant: 'a start lets what stands behind a message that waits run before it',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[{ ...ASK, ms: 80_000 }]], { kind: 'holds' })]),
        until('suspended'),
        { do: 'stop', downMs: 10 },
        insert([message(2), message(3)]),
        pass(2_000),
        answer(11, 0),
        pass(2_000),
      ],
    ],
  },
  {
    title: 'a start finds a message that keeps its lane waiting, and reads meet a lock',
    mutant: 'a start wakes what keeps its lane waiting',
    choices: ONE,
    runs: [0, 1, 2, 3, 4].map((after) => [
      up,
      insert([asks(1, [[{ ...ASK, ms: 80_000 }]], { kind: 'holds' })]),
      until('suspended'),
      { do: 'stop', downMs: 10 },
      pass(5),
      { do: 'busy-reads', after, times: 2 },
      insert([message(2)]),
      pass(2_000),
      answer(11, 0),
      pass(2_000),
    ]),
  },
  {
    title: 'the clock is set back while a message sleeps',
    mutant: 'a timer of a wait that fires too early is not set again',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[{ kind: 'sleep', ms: 1_500 }]])]),
        until('suspended'),
        pass(1_000),
        { do: 'jump', ms: -5_000 },
        pass(12_000),
      ],
    ],
  },
  {
    title: 'the clock is set back when a question has been answered, and its message waits for another one',
    mutant: 'an answer wakes its message again whenever that waits',
    choices: ONE,
    runs: [
      [
        up,
        insert([asks(1, [[ASK], [ASK]])]),
        until('suspended'),
        answer(11, 0),
        until('running'),
        { do: 'jump', ms: -60_000 },
        pass(2_000),
        answer(12, 0),
        pass(2_000),
      ],
    ],
  },
  {
    title: 'the host ends a message that is woken and not claimed yet',
    mutant: 'what the host has ended goes on waiting',
    choices: ONE,
    runs: (['cancel', 'delete', 'spoil'] as const).map((change) => [
      up,
      insert([asks(1, [[{ kind: 'sleep', ms: 300 }]])]),
      until('suspended'),
      pass(290),
      { do: 'reload', version: 2 },
      until('ready'),
      { do: change, pick: 0, hint: 'lost' },
      pass(2_000),
    ]),
  },
  {
    title: 'a message that has asked takes the runtime with it each time, and its questions are closed',
    mutant: 'what is given up keeps its questions open',
    choices: ONE,
    runs: [
      [
        up,
        insert([
          asks(1, [[{ ...TEXT, ms: 80_000 }, ASK]], { races: true }, [{}, { takesDown: true, ms: 30 }]),
        ]),
        until('suspended'),
        { do: 'answer', plan: 11, pick: 1, how: 'once', hint: 'now' },
        pass(30_000),
        say(12, 1),
        pass(2_000),
      ],
    ],
  },
  {
    title: 'a step is on its way to disk when the runtime is killed, or its process ends',
    mutant: 'a step counts as kept before it is on disk',
    choices: LATE,
    runs: [
      [
        up,
        { do: 'slow-commit', writeMs: 1, answerMs: 1 },
        insert([asks(1, [[ASK]])]),
        until('running'),
        { do: 'slow-commit', writeMs: 100, answerMs: 100 },
        pass(150),
        { do: 'crash', afterEffects: 0, downMs: 10 },
        pass(3_000),
      ],
    ],
  },
]
