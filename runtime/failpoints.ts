// Where the crash soak (`npm run soak`) lets this process die: places in the life of a turn that a timer
// hardly ever hits. NANOCLAW_CRASH_AT=<point>:<nth> kills it with SIGKILL, from within, when it comes to that
// place for the nth time. Nothing else is done here, and nothing can be: a process that was killed there is
// what must be tested, so no mode of the product changes. Without the variable no part holds a hook, and a
// turn costs what it costs without this file.
import type { Workers } from './dispatcher.ts'
import type { CommitBatch, CommitResult } from './protocol/commit-batch.ts'
import type { InboundFile } from './sources/inbound.ts'
import type { Store } from './store/store.ts'

export const CRASH_POINTS = [
  // A turn has read its messages; nothing is claimed.
  'after-read',
  // The claims are written, the transaction is open.
  'in-claim',
  // The claims are on disk; nothing has been sent to a child.
  'after-claim',
  // The children have their messages.
  'after-dispatch',
  // A child has answered; nothing of it is on disk.
  'after-result',
  // Acks and replies of the runs that ended are written, the claims beside them are not.
  'in-finish-after-reply',
  // All of the turn is written, the transaction is open.
  'in-finish-before-commit',
  // The results are on disk; no event was emitted.
  'after-commit',
  // A start has ended what was left running and raised the epoch; the transaction is open.
  'in-recovery',
  // A stop: 1 while messages run, 2 when all have ended, 3 when the children have exited.
  'in-shutdown',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]
export type CrashHook = (point: CrashPoint) => void

/** @returns undefined when nothing, or nothing that there is, has been asked for */
export function crashHook(asked: string | undefined): CrashHook | undefined {
  const [name, nth = '1'] = asked?.split(':') ?? []
  if (!CRASH_POINTS.some((point) => point === name)) return undefined
  let left = Number(nth)
  return (point) => {
    if (point === name && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
}

interface Ports {
  readonly inbound: InboundFile
  readonly store: Pick<Store, 'commit'>
  readonly workers: Workers
}

/**
 * The dispatcher's ports, with the failpoint around them: what lies between two of its steps lies at one of
 * these.
 */
export function withFailpoints(ports: Ports, reach: CrashHook | undefined): Ports {
  if (!reach) return ports
  const { inbound, store, workers } = ports
  const committed = (batch: CommitBatch, result: CommitResult) => {
    if (batch.results.length > 0) reach('after-commit')
    if (batch.claims.length > 0) reach('after-claim')
    return result
  }
  return {
    inbound: {
      changed: (doubt) => inbound.changed(doubt),
      getPendingMessages: (...page) => inbound.getPendingMessages(...page),
      getPendingByIds: (...ids) => inbound.getPendingByIds(...ids),
      getPendingIds: (...page) => inbound.getPendingIds(...page),
      maxSeq: () => inbound.maxSeq(),
      placeOf: (seq, id) => inbound.placeOf(seq, id),
      rawId: (rowid) => inbound.rawId(rowid),
      getMessages(ids) {
        const messages = inbound.getMessages(ids)
        reach('after-read')
        return messages
      },
    },
    store: {
      commit(batch) {
        const result = store.commit(batch)
        return result instanceof Promise
          ? result.then((each) => committed(batch, each))
          : committed(batch, result)
      },
    },
    workers: {
      capacity: () => workers.capacity(),
      start: (spec, count) => workers.start(spec, count),
      slot(pid) {
        const slot = workers.slot(pid)
        return (
          slot && {
            ...slot,
            run(batch, receiver) {
              slot.run(batch, {
                ...receiver,
                ended(ended) {
                  reach('after-result')
                  receiver.ended(ended)
                },
              })
              reach('after-dispatch')
            },
          }
        )
      },
    },
  }
}
