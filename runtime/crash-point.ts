// Where the crash soak (`npm run soak`) lets this process die: places in the life of a turn that a timer hardly ever hits.
// NANOCLAW_CRASH_AT=<point>:<nth> kills it with SIGKILL, from within, when it comes to that place for the nth time. Nothing
// else is done here, and nothing can be: a process that was killed there is what must be tested, so no mode of the
// product changes. Without the variable nobody holds a hook, and a turn costs what it costs without this file.
import type { DispatcherParts } from './dispatcher.ts'

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
  // The ends are on disk; nobody has been told.
  'after-commit',
  // A start has ended what was left running and raised the epoch; the transaction is open.
  'in-recovery',
  // Told to stop: 1 while messages run, 2 when all have ended, 3 when the children are gone.
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

type Ports = Pick<DispatcherParts, 'reader' | 'writer' | 'workers'>

/** The executor's ports, with the hook around them: what lies between two of its steps lies at one of these. */
export function withCrashPoints({ reader, writer, workers }: Ports, reach: CrashHook | undefined): Ports {
  if (!reach) return { reader, writer, workers }
  return {
    reader: {
      maxSeq: () => reader.maxSeq(),
      getMessages(ids) {
        const messages = reader.getMessages(ids)
        reach('after-read')
        return messages
      },
    },
    writer: {
      commit(turn) {
        const committed = writer.commit(turn)
        if (turn.endings.length > 0) reach('after-commit')
        if (turn.claims.length > 0) reach('after-claim')
        return committed
      },
    },
    workers: {
      offer: (...wanted) =>
        workers.offer(...wanted).map((slot) => ({
          ...slot,
          run(batch, onEnded) {
            slot.run(batch, (ended) => {
              reach('after-result')
              onEnded(ended)
            })
            reach('after-dispatch')
          },
        })),
    },
  }
}
