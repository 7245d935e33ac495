// The messages of the soak, and what must become of each. The host writes a task as content, the handler
// (test/fixtures/soak/work.ts) obeys it, and the checker reads it again in inbound.db: none of them
// keeps it in memory.
import type { Random } from './random.ts'

export type Task =
  | {
      readonly type: 'reply' | 'exit' | 'killed' | 'poison' | 'grandchild' | 'give up' | 'no json'
      readonly replies: number
    }
  | { readonly type: 'throw'; readonly replies: number; readonly times: number }
  | { readonly type: 'slow' | 'block'; readonly replies: number; readonly ms: number }
  /** `ends`: what becomes of the first attempt, in the body of the middle step or behind it. */
  | {
      readonly type: 'steps'
      readonly replies: number
      readonly count: number
      readonly parallel: boolean
      readonly ends: 'well' | 'throws' | 'dies in the body' | 'dies behind it'
    }
  /** Acts one after the other, with a reply behind each. */
  | {
      readonly type: 'waits'
      readonly replies: number
      readonly acts: readonly Act[]
      /** Behind this act the first attempt throws; null: it does not. */
      readonly throwsBehind: number | null
      /** Fails for good behind the last act. */
      readonly givesUp: boolean
      /** Its process may die about when a run is suspended. */
      readonly dies: boolean
    }

export type Act =
  | { readonly type: 'step' }
  | { readonly type: 'sleep'; readonly ms: number }
  /** `text`: without options, so that the next chat message of the conversation answers. */
  | { readonly type: 'ask' | 'text'; readonly timeoutMs: number }
  /** A question, a sleep and a step at a time. */
  | { readonly type: 'all'; readonly ms: number; readonly timeoutMs: number }
  /** A question that has another one behind it, beside a third one. */
  | { readonly type: 'branches'; readonly timeoutMs: number }
  /** Two questions, and the first answer ends the message: the last act, since what it says may change. */
  | { readonly type: 'race'; readonly timeoutMs: number }

/** `hold` goes to a function that keeps its lane while it waits, `chat` and `work` to one that does not. */
export type Kind = 'work' | 'chat' | 'hold'

export const OPTIONS = ['yes', 'no'] as const
export const UNKNOWN_OPTION = 'perhaps'

export interface Message {
  readonly kind: Kind
  readonly task: Task
  /** The ordering key; null: none. */
  readonly thread: string | null
  /** As text for process_after; null: at once. */
  readonly after: string | null
}

/** Runs charged to the handler at most, and deaths of its process at most. */
export const ATTEMPTS_MAX = 12
export const CRASHES_MAX = 10

export const POISON: Message = {
  kind: 'work',
  task: { type: 'poison', replies: 2 },
  thread: null,
  after: null,
}

const THREADS = 4
/** Threads in which some messages hold their lane. */
const HELD_THREADS = 3
/** A sleep of a second or less stays in its process. */
const SLEEP_MS = [1_001, 1_300] as const
const UNREADABLE_TIME = 'tomorrow, perhaps'

/** One round's messages: mostly all kinds mixed, sometimes a burst of quick ones, which travel in batches. */
export function makeMessages(count: number, nowMs: number, random: Random): Message[] {
  const burst = random.chance(0.25)
  return Array.from({ length: count }, () => {
    const task = burst && random.chance(0.95) ? reply(random) : mixed(random)
    if (task.type === 'waits') return waiting(task, random)
    if (random.chance(HELD_SHARE)) return { kind: 'work', task, thread: heldThread(random), after: null }
    if (task.type !== 'reply' || random.chance(0.6))
      return { kind: 'work', task, thread: thread(random), after: null }
    if (burst || random.chance(0.7)) return { kind: 'work', task, thread: null, after: null }
    if (random.chance(0.2)) return { kind: 'work', task, thread: null, after: UNREADABLE_TIME }
    const after = new Date(nowMs + random.int(50, 800)).toISOString()
    return { kind: 'work', task, thread: null, after }
  })
}

/** Messages that lead to places which only steps and waits pass; each of those comes by in some of them. */
export function makeWaits(count: number, random: Random): Message[] {
  return Array.from({ length: count }, () => waiting(waits(random), random))
}

/** A question needs an address, so all of them have a thread. */
function waiting(task: Task, random: Random): Message {
  const holds = random.chance(0.25)
  return {
    kind: holds ? 'hold' : 'work',
    task,
    thread: holds ? heldThread(random) : thread(random),
    after: null,
  }
}

export type End =
  | { readonly status: 'completed'; readonly replies: readonly string[] }
  | { readonly status: 'failed'; readonly reason: string }

/** How a message has to end; of one that waits the replies are those of `saidBy`. */
export function endOf(id: string, task: Task, after: string | null): End {
  if (after === UNREADABLE_TIME) return { status: 'failed', reason: 'bad_process_after' }
  switch (task.type) {
    case 'poison':
      return { status: 'failed', reason: 'crash_limit' }
    case 'give up':
      return { status: 'failed', reason: 'non_retryable' }
    case 'no json':
      return { status: 'failed', reason: 'unserialisable_reply' }
    case 'waits':
      return task.givesUp
        ? { status: 'failed', reason: 'non_retryable' }
        : { status: 'completed', replies: [] }
    default:
      return { status: 'completed', replies: begin(id, task.replies) }
  }
}

/** A name of a wait → what its question was answered with; null: the time was up; undefined: it is open. */
export type AnswerOf = (name: string) => string | null | undefined

/** Replies that one uninterrupted run makes up to here; those of one group come in any order. */
export type Said = readonly (readonly string[])[]

/**
 * What a message that waits says, given how its waits have ended: up to the first act that has not ended, or
 * to its end.
 */
export function saidBy(id: string, { replies, acts: all, givesUp }: Waits, endOf: AnswerOf): Said {
  const said: string[][] = begin(id, replies).map((each) => [each])
  // What it says behind its last wait is lost with its failure.
  const last = all.findLastIndex(({ type }) => type !== 'step')
  if (givesUp && last < 0) return []
  const acts = givesUp ? all.slice(0, last + 1) : all
  for (const [n, act] of acts.entries()) {
    const { asked, answered } = saidIn(id, n, act, endOf)
    said.push(...asked)
    if (answered === undefined || (givesUp && n === last)) return said
    said.push(...answered)
  }
  return said
}

export type Waits = Extract<Task, { type: 'waits' }>

const begin = (id: string, count: number) =>
  Array.from({ length: count }, (_, index) => JSON.stringify({ text: `${id} ${index}` }))

/** Without options it is a reply like any other. */
const asksText = (id: string, name: string) => JSON.stringify({ text: `${id} asks ${name}` })
const asks = (id: string, name: string) => questionText(`${id} asks ${name}`)
/** Behind an act, or behind a branch of it. */
const says = (id: string, name: string, value: string | null) =>
  JSON.stringify({ text: `${id} ${name} ${value}` })

/** How a question with options stands among replies. */
export const questionText = (question: string) => `question ${question}`

/** `answered`: undefined while the act has not ended. */
function saidIn(
  id: string,
  n: number,
  act: Act,
  endOf: AnswerOf,
): { readonly asked: string[][]; readonly answered: string[][] | undefined } {
  const name = `w${n}`
  const end = endOf(name)
  const behind = (value: string | null | undefined) =>
    value === undefined ? undefined : [[says(id, name, value)]]
  switch (act.type) {
    case 'step':
      return { asked: [], answered: behind('done') }
    case 'sleep':
      return { asked: [], answered: behind(end) }
    case 'ask':
      return { asked: [[asks(id, name)]], answered: behind(end) }
    case 'text':
      return { asked: [[asksText(id, name)]], answered: behind(end) }
    case 'all': {
      const slept = endOf(`${name}z`) !== undefined
      return { asked: [[asks(id, name)]], answered: slept ? behind(end) : undefined }
    }
    case 'branches':
      return saidInBranches(id, name, endOf)
    case 'race': {
      const ends = [endOf(`${name}a`), endOf(`${name}b`)]
      const any = ends.some((each) => each !== undefined)
      return {
        asked: [[asks(id, `${name}a`)], [asks(id, `${name}b`)]],
        answered: any ? behind('over') : undefined,
      }
    }
  }
}

/**
 * One branch may be ahead of the other one; what it has said goes out with its next question, or at the end.
 */
function saidInBranches(id: string, name: string, endOf: AnswerOf): ReturnType<typeof saidIn> {
  const [a, b, c] = [`${name}a`, `${name}b`, `${name}c`]
  const [first, beside, second] = [endOf(a), endOf(b), endOf(c)]
  const asked = [[asks(id, a)], [asks(id, b)]]
  const later = [
    ...(first === undefined ? [] : [says(id, a, first), asks(id, c)]),
    ...(beside === undefined ? [] : [says(id, b, beside)]),
    ...(second === undefined ? [] : [says(id, c, second)]),
  ]
  const isOver = second !== undefined && beside !== undefined
  return isOver
    ? { asked: [...asked, later], answered: [[says(id, name, 'done')]] }
    : { asked: [...asked, later], answered: undefined }
}

const reply = (random: Random): Task => ({ type: 'reply', replies: random.int(0, 3) })

const thread = (random: Random) => `thread-${random.int(1, THREADS)}`
const heldThread = (random: Random) => `held-${random.int(1, HELD_THREADS)}`
/** Of the messages that do not wait; a lane that is held is not to fill the lanes of a whole soak. */
const HELD_SHARE = 0.04

const ACTS_MAX = 4
/** Some come right at the time of an answer, most never. */
const timeout = (random: Random) => (random.chance(0.3) ? random.int(20, 400) : 3_600_000)

function waits(random: Random): Waits {
  const acts = Array.from({ length: random.int(1, ACTS_MAX) }, () => random.pick(ACTS)(random))
  const givesUp = random.chance(0.1)
  // What a failure leaves behind must not depend on which branch was ahead.
  const simple = givesUp ? acts.filter(({ type }) => type !== 'branches') : acts
  const all = givesUp || random.chance(0.7) ? simple : [...simple, race(random)]
  const throwsBehind = random.chance(0.3) ? random.int(0, Math.max(all.length - 1, 0)) : null
  return {
    type: 'waits',
    replies: random.int(0, 2),
    acts: all,
    throwsBehind,
    givesUp,
    dies: random.chance(0.1),
  }
}

const race = (random: Random): Act => ({ type: 'race', timeoutMs: timeout(random) })
const ACTS: readonly ((random: Random) => Act)[] = [
  () => ({ type: 'step' }),
  () => ({ type: 'step' }),
  (random) => ({ type: 'sleep', ms: random.int(...SLEEP_MS) }),
  (random) => ({ type: 'ask', timeoutMs: timeout(random) }),
  (random) => ({ type: 'ask', timeoutMs: timeout(random) }),
  (random) => ({ type: 'text', timeoutMs: timeout(random) }),
  (random) => ({ type: 'all', ms: random.int(...SLEEP_MS), timeoutMs: timeout(random) }),
  (random) => ({ type: 'branches', timeoutMs: timeout(random) }),
]

/** A death costs the start of another process: some are enough. */
const DEATHS_SHARE = 0.02

function mixed(random: Random): Task {
  if (random.chance(DEATHS_SHARE))
    return { type: random.pick(['exit', 'killed'] as const), replies: random.int(0, 2) }
  return random.pick(TASKS)(random)
}

/** Deaths cost a process each, so they are rare. */
function steps(random: Random): Task {
  const ends = random.chance(0.9)
    ? random.pick(['well', 'throws'] as const)
    : random.pick(['dies in the body', 'dies behind it'] as const)
  return { type: 'steps', replies: 1, count: random.int(1, 5), parallel: random.chance(0.3), ends }
}

const TASKS: readonly ((random: Random) => Task)[] = [
  ...Array.from({ length: 6 }, () => reply),
  (random) => ({ type: 'slow', replies: random.int(1, 2), ms: random.int(5, 40) }),
  (random) => ({ type: 'slow', replies: random.int(1, 2), ms: random.int(5, 40) }),
  steps,
  steps,
  waits,
  waits,
  (random) => ({ type: 'block', replies: 1, ms: random.int(5, 25) }),
  (random) => ({ type: 'throw', replies: random.int(1, 2), times: random.int(1, 3) }),
  (random) => ({ type: 'throw', replies: random.int(1, 2), times: random.int(1, 3) }),
  (random) => ({ type: random.pick(['give up', 'no json', 'grandchild'] as const), replies: 1 }),
]
