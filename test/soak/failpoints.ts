// Where the soak lets the runtime die: places between two steps that a timer hardly ever separates. The
// process kills itself with SIGKILL when it comes to the asked place for the nth time. test/soak/entry.ts
// gives them to createRuntime.
import type { DispatcherPorts, Failpoints } from '../../runtime/failpoints.ts'
import type { CommitBatch, CommitResult } from '../../runtime/protocol/commit-batch.ts'
import type { Receiver } from '../../runtime/protocol/outcome.ts'

/** Places that a message passes only with steps or waits. */
export const WAIT_POINTS = [
  // A step of a child has come in; nothing of it is on disk.
  'after-step',
  // Steps are written, the transaction is open.
  'in-step',
  // Steps are on disk; no child knows.
  'before-kept',
  // The child has its order to go on behind a step.
  'after-kept',
  // A child has reported that its handler waits; nothing of it is on disk.
  'before-suspend',
  // Waits, questions and what was said before them are written, the transaction is open.
  'in-suspend',
  // They are on disk; no listener has been called.
  'after-suspend',
  // A message ended with waits that are open: their end is written, the transaction is open.
  'in-close',
  // An answer is matched; nothing of it is on disk.
  'before-answer',
  // An answer and its ack are written, the transaction is open.
  'in-answer',
  // They are on disk; the message that has waited is not back.
  'after-answer',
  // The claim of a message that has waited is about to be written.
  'before-wake',
  // It is written, and with it how its waits have ended; the transaction is open.
  'in-wake',
  // It is on disk; nothing has been sent to a child.
  'after-wake',
] as const

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
  ...WAIT_POINTS,
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

export function isWaitPoint(point: CrashPoint): boolean {
  return WAIT_POINTS.some((each) => each === point)
}

type Reach = (point: CrashPoint) => void

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

function withFailpoints(ports: DispatcherPorts, reach: Reach): DispatcherPorts {
  const { inbound, workers } = ports
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
    store: storeWithFailpoints(ports.store, reach),
    workers: {
      capacity: () => workers.capacity(),
      start: (spec, count) => workers.start(spec, count),
      slot(pid) {
        const slot = workers.slot(pid)
        return (
          slot && {
            ...slot,
            run(batch, receiver) {
              slot.run(batch, receiverWithFailpoints(receiver, reach))
              reach('after-dispatch')
            },
          }
        )
      },
    },
  }
}

function storeWithFailpoints(store: DispatcherPorts['store'], reach: Reach): DispatcherPorts['store'] {
  /** Messages that have waited in this life and not been claimed since. */
  const waited = new Set<string>()
  const committed = (batch: CommitBatch, result: CommitResult) => {
    for (const id of [...result.waiting.keys(), ...result.answered]) waited.add(id)
    for (const { id } of batch.claims) waited.delete(id)
    if (batch.steps.length > 0) reach('before-kept')
    if (result.waiting.size > 0) reach('after-suspend')
    if (result.answered.length > 0) reach('after-answer')
    if ([...result.journals.values()].some(({ waits }) => waits.length > 0)) reach('after-wake')
    if (batch.results.length > 0) reach('after-commit')
    if (batch.claims.length > 0) reach('after-claim')
    return result
  }
  return {
    commit(batch) {
      if (batch.answers.length > 0) reach('before-answer')
      if (batch.claims.some(({ id }) => waited.has(id))) reach('before-wake')
      const result = store.commit(batch)
      return result instanceof Promise
        ? result.then((each) => committed(batch, each))
        : committed(batch, result)
    },
  }
}

function receiverWithFailpoints(receiver: Receiver, reach: Reach): Receiver {
  return {
    ...receiver,
    ended(ended) {
      if (ended.some(({ outcome }) => outcome.type === 'suspended')) reach('before-suspend')
      reach('after-result')
      receiver.ended(ended)
    },
    step(n, step, kept) {
      reach('after-step')
      receiver.step(n, step, () => {
        kept()
        reach('after-kept')
      })
    },
  }
}
