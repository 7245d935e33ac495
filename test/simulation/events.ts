// What can happen to a runtime, as data: a run of the simulation is a list of these, so that a list that
// fails can be cut down to the few events that matter. Each event is complete in itself; `pick` chooses among
// what there is at the time.
import type { Fate } from './cast.ts'
import { choicesOf } from './choices.ts'
import type { Odd } from './faults.ts'
import { Random } from './random.ts'
import type { Script } from './scripts.ts'

/** `now`: the watcher tells at once; `late`: after a while, twice; `lost`: only the poll finds it. */
export type Hint = 'now' | 'late' | 'lost'

export interface NewMessage {
  /** Its id and all that its handler will ever do follow from this number. */
  readonly plan: number
  readonly kind: Kind
  /** Which address, and so which lane; 3: none. */
  readonly address: number
  readonly due: 'now' | 'past' | 'soon' | 'later' | 'far' | 'unreadable'
  readonly odd: 'no' | 'bad-json' | 'too-large' | 'on-wake' | 'numberless' | 'context'
  /**
   * What its handler does at each start, the last one again and again, in place of what follows from its
   * number.
   */
  readonly does?: readonly Partial<Fate>[]
  /** What it waits for, in place of what follows from its number. */
  readonly script?: Script
}

/**
 * `asks` and `holds` wait, and the latter keep their lanes waiting; `system`: answers of the host to
 * questions.
 */
export const KINDS = [
  'quick',
  'slow',
  'free',
  'user',
  'stuck',
  'late',
  'nobody',
  'asks',
  'holds',
  'chat',
  'system',
] as const
export type Kind = (typeof KINDS)[number]

/**
 * `at`: 1 for the second folder, where there is one. What happens to a process happens to the one that serves
 * the folder.
 */
export type Event = Happening & { readonly at?: 0 | 1 }

/** Where the runtime stands with a folder. */
export type Situation =
  /**
   * A commit is under way that claims messages, or ends runs: not written yet, or written and not known to
   * be.
   */
  | 'claims-asked'
  | 'claims-written'
  | 'ends-asked'
  | 'ends-written'
  /** A message is in this state. */
  | 'ready'
  | 'running'
  | 'finishing'
  | 'retrying'
  | 'rereading'
  | 'scheduled'
  | 'waiting'
  /** A message waits, in memory or not. */
  | 'suspended'
  /** A commit is under way that answers a question; the commit before made a message wait. */
  | 'answers-asked'
  | 'answers-written'
  /** Nothing is left to do. */
  | 'idle'

export type Happening =
  | { readonly do: 'insert'; readonly messages: readonly NewMessage[]; readonly hint: Hint }
  /** More messages than there is room for, of a function whose retries wait for long. */
  | { readonly do: 'crowd'; readonly plan: number; readonly hint: 'now' }
  /**
   * Nothing goes wrong for a while: what is due and has no other before it begins; `other`: what the other
   * folder does meanwhile.
   */
  | { readonly do: 'quiet'; readonly other?: 'rests' | 'unreadable' | 'full' | 'failing' }
  /** Of a runtime of two folders: it serves this one no more, and again after a while. */
  | { readonly do: 'leave'; readonly downMs: number }
  /** Calls are made until that holds. */
  | { readonly do: 'until'; readonly situation: Situation }
  /** inbound.db gives out so many pages that are not as they should be. */
  | { readonly do: 'odd-pages'; readonly how: Odd; readonly times: number }
  /** The disk of outbound.db fails in so many commits. */
  | { readonly do: 'failing-commits'; readonly times: number }
  /** So many commits take effect and report an error of the disk. */
  | { readonly do: 'unanswered-commits'; readonly times: number }
  /** A store that answers late takes so long for its next commit, and again for the answer. */
  | { readonly do: 'slow-commit'; readonly writeMs: number; readonly answerMs: number }
  /** Another file is put in place while the runtime is up, after so long a time without any. */
  | { readonly do: 'swap'; readonly messages: readonly NewMessage[]; readonly goneMs: number }
  /**
   * While no runtime is up, another file is put in place, which has other rows under the numbers that were
   * walked last.
   */
  | { readonly do: 'replace'; readonly messages: readonly NewMessage[]; readonly downMs: number }
  /**
   * The host changes a row: gives it another time, or one that cannot be read, pauses, resumes, cancels,
   * deletes, or inserts its id again.
   */
  | { readonly do: RowChange; readonly pick: number; readonly hint: Hint }
  /**
   * The host answers a question, one that is open if there is any: with an option that is offered or not,
   * with two of them in one commit. `over`: a question that is not open any more.
   */
  | {
      readonly do: 'answer'
      readonly plan: number
      readonly pick: number
      readonly how: 'once' | 'twice' | 'unknown' | 'over'
      readonly hint: Hint
    }
  /** So many chat messages in a conversation in which a question waits for text. */
  | {
      readonly do: 'say'
      readonly plan: number
      readonly pick: number
      readonly times: number
      readonly due: NewMessage['due']
      readonly hint: Hint
    }
  /** Copies acks into inbound.db, and deletes old rows that ended. */
  | { readonly do: 'sync'; readonly prune: boolean; readonly hint: Hint }
  /**
   * Deletes claims, as hosts do that believe the runtime dead. `backOff`: gives those messages a later time
   * first.
   */
  | { readonly do: 'unclaim'; readonly pick: number; readonly all: boolean; readonly backOff: boolean }
  | { readonly do: 'pass'; readonly ms: number }
  /** The next call that waits in the event loop; time passes until it is due. */
  | { readonly do: 'call' }
  /** An event of the watcher for nothing. */
  | { readonly do: 'hint' }
  /**
   * kill -9 before the effect after so many more, or before the next one of this name; comes back after a
   * while.
   */
  | { readonly do: 'crash'; readonly afterEffects: number; readonly downMs: number; readonly before?: string }
  | { readonly do: 'stop'; readonly downMs: number }
  /** Another runtime takes the workspace over, and this one does not know. */
  | { readonly do: 'take-over' }
  /** Another process has a lock, after so many reads that met none. */
  | { readonly do: 'busy-reads'; readonly after: number; readonly times: number }
  | { readonly do: 'busy-commits'; readonly times: number }
  /** inbound.db has a hot journal, or is not there at all. */
  | { readonly do: 'unreadable'; readonly how: 'journal' | 'gone'; readonly ms: number }
  /** outbound.db takes no writes: from the so manieth statement of a turn on. */
  | { readonly do: 'full'; readonly ms: number; readonly atStatement: number }
  /** The wall clock is set. */
  | { readonly do: 'jump'; readonly ms: number }
  /** The runtime is stopped, or its event loop blocked. */
  | { readonly do: 'freeze'; readonly ms: number }
  /** The functions are others now: new bundles; the function `late` is there in odd versions. */
  | { readonly do: 'reload'; readonly version: number }

export type RowChange = 'earlier' | 'later' | 'spoil' | 'pause' | 'resume' | 'cancel' | 'delete' | 'again'

export function randomEvents(seed: number, steps: number): Event[] {
  const random = new Random(seed)
  if (choicesOf(seed).stores.length === 1) return Array.from({ length: steps }, () => randomEvent(random))
  const events: Event[] = []
  while (events.length < steps) {
    const at = random.pick([0, 1] as const)
    const event = { ...randomEvent(random, SHARED), at }
    events.push(event)
    // The other folder knows the same ids.
    if (event.do === 'insert' && random.next() < 0.2) events.push({ ...event, at: at === 0 ? 1 : 0 })
  }
  return events
}

function randomEvent(random: Random, weights = WEIGHTS): Event {
  const what = random.weighted(weights)
  switch (what) {
    case 'insert':
      return { do: what, messages: randomMessages(random), hint: randomHint(random) }
    case 'crowd':
      return { do: what, plan: random.int(2 ** 31), hint: 'now' }
    case 'answer': {
      const how = random.weighted(ANSWERS)
      return { do: what, plan: random.int(2 ** 31), pick: random.int(1_000), how, hint: randomHint(random) }
    }
    case 'say': {
      const [times, due] = [1 + random.int(2), random.weighted(DUES)]
      return {
        do: what,
        plan: random.int(2 ** 31),
        pick: random.int(1_000),
        times,
        due,
        hint: randomHint(random),
      }
    }
    case 'replace':
      return {
        do: what,
        messages: [...randomMessages(random), ...randomMessages(random), ...randomMessages(random)],
        downMs: random.pick(DOWNS),
      }
    case 'sync':
      return { do: what, prune: random.next() < 0.3, hint: randomHint(random) }
    case 'unclaim': {
      const [all, backOff] = [random.next() < 0.5, random.next() < 0.5]
      return { do: what, pick: random.int(1_000), all, backOff }
    }
    case 'pass':
      return { do: what, ms: random.weighted(PASSES) }
    case 'call':
    case 'hint':
    case 'take-over':
      return { do: what }
    case 'quiet':
      return { do: what, other: random.pick(['rests', 'unreadable', 'full', 'failing'] as const) }
    case 'leave':
      return { do: what, downMs: random.pick(DOWNS) }
    case 'until':
      return { do: what, situation: 'idle' }
    case 'odd-pages':
      return { do: what, how: random.pick(['repeats', 'turns-round'] as const), times: 1 + random.int(3) }
    case 'failing-commits':
      return { do: what, times: 1 + random.int(14) }
    case 'unanswered-commits':
      return { do: what, times: 1 + random.int(3) }
    case 'slow-commit':
      return { do: what, writeMs: random.pick(TROUBLES), answerMs: random.pick(TROUBLES) }
    case 'swap':
      return { do: what, messages: randomMessages(random), goneMs: random.pick(TROUBLES) }
    case 'crash':
      return { do: what, afterEffects: random.int(40), downMs: random.pick(DOWNS) }
    case 'stop':
      return { do: what, downMs: random.pick(DOWNS) }
    case 'busy-reads':
      return { do: what, after: random.int(4), times: busyTimes(random) }
    case 'busy-commits':
      return { do: what, times: busyTimes(random) }
    case 'unreadable':
      return { do: what, how: random.pick(['journal', 'gone'] as const), ms: random.pick(TROUBLES) }
    case 'full':
      return { do: what, ms: random.pick(TROUBLES), atStatement: random.int(6) }
    case 'jump':
      return { do: what, ms: random.pick(JUMPS) }
    case 'freeze':
      return { do: what, ms: random.pick(TROUBLES) }
    case 'reload':
      return { do: what, version: random.int(6) }
    default:
      return { do: what, pick: random.int(1_000), hint: randomHint(random) }
  }
}

function busyTimes(random: Random): number {
  return 1 + random.int(random.next() < 0.1 ? 20 : 3)
}

function randomMessages(random: Random): NewMessage[] {
  return Array.from({ length: random.weighted(AMOUNTS) }, () => ({
    plan: random.int(2 ** 32),
    kind: random.weighted(KIND_WEIGHTS),
    address: random.int(4),
    due: random.weighted(DUES),
    odd: random.weighted(ODDS),
  }))
}

function randomHint(random: Random): Hint {
  return random.weighted(HINTS)
}

const WEIGHTS: readonly (readonly [number, Event['do']])[] = [
  [160, 'call'],
  [6, 'pass'],
  [13, 'insert'],
  [5, 'sync'],
  [5, 'answer'],
  [3, 'say'],
  [0.2, 'crowd'],
  [0.2, 'quiet'],
  [0.5, 'replace'],
  [1, 'earlier'],
  [0.3, 'spoil'],
  [1, 'later'],
  [1.5, 'pause'],
  [2, 'resume'],
  [0.7, 'cancel'],
  [0.7, 'delete'],
  [1, 'again'],
  [1, 'unclaim'],
  [1, 'hint'],
  [1.2, 'crash'],
  [0.5, 'stop'],
  [0.4, 'take-over'],
  [2.5, 'busy-reads'],
  [2.5, 'busy-commits'],
  [1, 'unreadable'],
  [1, 'full'],
  [0.8, 'jump'],
  [0.8, 'freeze'],
  [0.8, 'reload'],
  [0.8, 'odd-pages'],
  [0.4, 'failing-commits'],
  [0.8, 'unanswered-commits'],
  [0.5, 'slow-commit'],
  [0.3, 'swap'],
]
const SHARED: typeof WEIGHTS = [...WEIGHTS, [0.5, 'leave'], [0.3, 'quiet']]
const PASSES: readonly (readonly [number, number])[] = [
  [4, 0.3],
  [5, 1],
  [5, 5],
  [4, 25],
  [2, 100],
  [0.7, 400],
  [0.1, 3_000],
]
const DOWNS = [0, 10, 500, 5_000]
const TROUBLES = [5, 50, 400, 2_000]
const JUMPS = [-3_600_000, -1_000, -5, 5, 1_000, 3_600_000]
const AMOUNTS: readonly (readonly [number, number])[] = [
  [5, 1],
  [3, 2],
  [2, 4],
  [0.4, 12],
]
const KIND_WEIGHTS: readonly (readonly [number, Kind])[] = [
  [8, 'quick'],
  [4, 'slow'],
  [2, 'free'],
  [2, 'user'],
  [1, 'late'],
  [0.5, 'nobody'],
  [3, 'asks'],
  [1.5, 'holds'],
  [1, 'chat'],
]
const ANSWERS: readonly (readonly [number, Extract<Event, { do: 'answer' }>['how']])[] = [
  [6, 'once'],
  [2, 'twice'],
  [1, 'unknown'],
  [1, 'over'],
]
const DUES: readonly (readonly [number, NewMessage['due']])[] = [
  [14, 'now'],
  [1, 'past'],
  [3, 'soon'],
  [1, 'later'],
  [0.5, 'far'],
  [0.3, 'unreadable'],
]
const ODDS: readonly (readonly [number, NewMessage['odd']])[] = [
  [40, 'no'],
  [1, 'bad-json'],
  [0.5, 'too-large'],
  [1, 'on-wake'],
  [2, 'numberless'],
  [2, 'context'],
]
const HINTS: readonly (readonly [number, Hint])[] = [
  [6, 'now'],
  [2, 'late'],
  [2, 'lost'],
]
