// Decides which message is charged with the end of its process; pure. A message is charged only where no
// other cause is possible; every other one is released, and runs isolated next.
import type { ErrorInfo } from '../protocol/errors.ts'
import type { Dispatch } from '../protocol/ipc.ts'
import type { Outcome } from '../protocol/outcome.ts'

/** The fault of a process. */
export type ProcessFault =
  | { readonly type: 'timed-out'; readonly n: number }
  /** An uncaught error, or an invalid report. */
  | { readonly type: 'uncaught'; readonly error: ErrorInfo }
  /** It closed its channel to the runtime without exiting. */
  | { readonly type: 'channel-lost' }

export interface ProcessExit {
  readonly fault: ProcessFault | undefined
  /** Handlers were aborted, since the runtime shuts down. */
  readonly shutdown: boolean
  /** Messages that it has reported results for. */
  readonly served: number
  readonly code: number | null
  readonly signal: string | null
  readonly stderr: string
  /** V8 reported that the heap had reached its limit. */
  readonly heapFull: boolean
}

/** One outcome for each message in the process, in the order given. */
export function blame(
  exit: ProcessExit,
  inside: readonly Pick<Dispatch, 'n' | 'alone' | 'timeoutMs'>[],
): Outcome[] {
  if (exit.shutdown) return inside.map(() => ({ type: 'cancelled', why: 'shutdown' }))
  const certain = inside.length === 1
  return inside.map((dispatch) => (certain ? outcomeOf(exit, dispatch) : PROCESS_DIED))
}

/** It was the only message in the process. */
function outcomeOf(
  { fault, served, code, signal, stderr, heapFull }: ProcessExit,
  { n, alone, timeoutMs }: Pick<Dispatch, 'n' | 'alone' | 'timeoutMs'>,
): Outcome {
  // An uncaught error or a lost channel may be caused by an earlier message of this process.
  const certain = served === 0 || alone
  switch (fault?.type) {
    case 'timed-out':
      return n === fault.n ? { type: 'timed-out', afterMs: timeoutMs } : PROCESS_DIED
    case 'uncaught':
      return certain ? { type: 'threw', error: fault.error, retry: { wish: 'policy' } } : PROCESS_DIED
    case 'channel-lost':
      if (!certain) return PROCESS_DIED
      return heapFull ? { type: 'out-of-memory', stderr } : { type: 'exited', code: null, stderr }
    case undefined:
      if (heapFull) return { type: 'out-of-memory', stderr }
      return signal === null
        ? { type: 'exited', code: code ?? 0, stderr }
        : { type: 'killed', signal, stderr }
    default:
      return fault satisfies never
  }
}

const PROCESS_DIED: Outcome = { type: 'cancelled', why: 'process-died' }
