// The orders to a child. The names of a message's fields would be more than half of what is sent, and the
// parent, which serves all children, would write them for each message; so a run travels as a row, its fields
// in a fixed order.
import type { Dispatch } from './ipc.ts'
import type { Journal } from './steps.ts'

type Fields = Dispatch['message']

export type WireRun = readonly [
  n: number,
  lane: string,
  attempt: number,
  id: Fields['id'],
  seq: Fields['seq'],
  kind: Fields['kind'],
  timestamp: Fields['timestamp'],
  status: Fields['status'],
  processAfter: Fields['processAfter'],
  recurrence: Fields['recurrence'],
  seriesId: Fields['seriesId'],
  tries: Fields['tries'],
  trigger: Fields['trigger'],
  platformId: Fields['platformId'],
  channelType: Fields['channelType'],
  threadId: Fields['threadId'],
  sourceSessionId: Fields['sourceSessionId'],
  onWake: Fields['onWake'],
  content: Fields['content'],
  journal: Journal | null,
]

export type Order =
  | {
      readonly type: 'run'
      readonly alone: boolean
      readonly timeoutMs: number
      readonly scope: string
      readonly runs: readonly WireRun[]
    }
  | { readonly type: 'abort'; readonly n: number; readonly why: 'timeout' | 'shutdown' }
  /** This step of the run is on disk. */
  | { readonly type: 'kept'; readonly n: number; readonly name: string }

type Runs = Extract<Order, { type: 'run' }>

/** A batch is of one function, so its time is one; a message that runs alone is a batch by itself. */
export function pack(batch: readonly Dispatch[]): Runs {
  const [first] = batch
  return {
    type: 'run',
    alone: first?.alone ?? false,
    timeoutMs: first?.timeoutMs ?? 0,
    scope: first?.scope ?? '',
    runs: batch.map(({ n, lane, attempt, message, journal }) => [
      n,
      lane,
      attempt,
      message.id,
      message.seq,
      message.kind,
      message.timestamp,
      message.status,
      message.processAfter,
      message.recurrence,
      message.seriesId,
      message.tries,
      message.trigger,
      message.platformId,
      message.channelType,
      message.threadId,
      message.sourceSessionId,
      message.onWake,
      message.content,
      journal ?? null,
    ]),
  }
}

export function unpack({ alone, timeoutMs, scope, runs }: Runs): Dispatch[] {
  return runs.map((run) => ({
    n: run[0],
    lane: run[1],
    attempt: run[2],
    alone,
    timeoutMs,
    message: {
      id: run[3],
      seq: run[4],
      kind: run[5],
      timestamp: run[6],
      status: run[7],
      processAfter: run[8],
      recurrence: run[9],
      seriesId: run[10],
      tries: run[11],
      trigger: run[12],
      platformId: run[13],
      channelType: run[14],
      threadId: run[15],
      sourceSessionId: run[16],
      onWake: run[17],
      content: run[18],
    },
    scope,
    journal: run[19] ?? undefined,
  }))
}
