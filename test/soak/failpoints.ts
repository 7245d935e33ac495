// Where the soak lets the runtime die: places between two steps that a timer hardly ever separates. The process kills itself with
// SIGKILL when it comes to the asked place for the nth time. test/soak/entry.ts gives them to createRuntime.
import type { DispatcherPorts, Failpoints } from '../../runtime/failpoints.ts'
import type { CommitBatch, CommitResult } from '../../runtime/protocol/commit-batch.ts'

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
  // The ends are on disk; no listener has been called.
  'after-commit',
  // A start has ended what was left running and raised the epoch; the transaction is open.
  'in-recovery',
  // Told to stop: 1 while messages run, 2 when all have ended, 3 when the children are gone.
  'in-shutdown',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

/** @param asked `point:nth` */
export function failpoints(asked: string): Failpoints {
  const [name, nth = '1'] = asked.split(':')
  if (!CRASH_POINTS.some((point) => point === name))
    throw new Error(`there is no failpoint ${name}; expected one of ${CRASH_POINTS.join(', ')}`)
  let left = Number(nth)
  const reach = (point: CrashPoint) => {
    if (point === name && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
  return { reach, around: (ports) => withFailpoints(ports, reach) }
}

function withFailpoints(ports: DispatcherPorts, reach: (point: CrashPoint) => void): DispatcherPorts {
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
