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

export interface Message {
  readonly task: Task
  /** The ordering key; null: none. */
  readonly thread: string | null
  /** As text for process_after; null: at once. */
  readonly after: string | null
}

/** Runs charged to the handler at most, and deaths of its process at most. */
export const ATTEMPTS_MAX = 12
export const CRASHES_MAX = 10

export const POISON: Message = { task: { type: 'poison', replies: 2 }, thread: null, after: null }

const THREADS = 4
const UNREADABLE_TIME = 'tomorrow, perhaps'

/** One round's messages: mostly all kinds mixed, sometimes a burst of quick ones, which travel in batches. */
export function makeMessages(count: number, nowMs: number, random: Random): Message[] {
  const burst = random.chance(0.25)
  return Array.from({ length: count }, () => {
    const task = burst && random.chance(0.95) ? reply(random) : mixed(random)
    if (task.type !== 'reply' || random.chance(0.6))
      return { task, thread: `thread-${random.int(1, THREADS)}`, after: null }
    if (burst || random.chance(0.7)) return { task, thread: null, after: null }
    if (random.chance(0.2)) return { task, thread: null, after: UNREADABLE_TIME }
    return { task, thread: null, after: new Date(nowMs + random.int(50, 800)).toISOString() }
  })
}

export type End =
  | { readonly status: 'completed'; readonly replies: readonly string[] }
  | { readonly status: 'failed'; readonly reason: string }

/** How a message has to end. */
export function endOf(id: string, task: Task, after: string | null): End {
  if (after === UNREADABLE_TIME) return { status: 'failed', reason: 'bad_process_after' }
  switch (task.type) {
    case 'poison':
      return { status: 'failed', reason: 'crash_limit' }
    case 'give up':
      return { status: 'failed', reason: 'non_retryable' }
    case 'no json':
      return { status: 'failed', reason: 'unserialisable_reply' }
    default:
      return {
        status: 'completed',
        replies: Array.from({ length: task.replies }, (_, index) =>
          JSON.stringify({ text: `${id} ${index}` }),
        ),
      }
  }
}

const reply = (random: Random): Task => ({ type: 'reply', replies: random.int(0, 3) })

/** A death costs the start of another process: some are enough. */
const DEATHS_SHARE = 0.02

function mixed(random: Random): Task {
  if (random.chance(DEATHS_SHARE))
    return { type: random.pick(['exit', 'killed'] as const), replies: random.int(0, 2) }
  return random.pick(TASKS)(random)
}

const TASKS: readonly ((random: Random) => Task)[] = [
  ...Array.from({ length: 6 }, () => reply),
  (random) => ({ type: 'slow', replies: random.int(1, 2), ms: random.int(5, 40) }),
  (random) => ({ type: 'slow', replies: random.int(1, 2), ms: random.int(5, 40) }),
  (random) => ({ type: 'block', replies: 1, ms: random.int(5, 25) }),
  (random) => ({ type: 'throw', replies: random.int(1, 2), times: random.int(1, 3) }),
  (random) => ({ type: 'throw', replies: random.int(1, 2), times: random.int(1, 3) }),
  (random) => ({ type: random.pick(['give up', 'no json', 'grandchild'] as const), replies: 1 }),
]
