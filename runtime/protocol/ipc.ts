// What parent and child say to each other, as JSON over Node's own channel. Parent → child: Order (wire.ts).
// Child → parent: Report. A handler shares the child's process, so a Report is never believed further than
// its shape and its dispatch number.
import type { ErrorInfo } from './errors.ts'
import type { HandlerMessage } from './handler.ts'
import type { BadReplyReason, RetryWish, Said } from './outcome.ts'
import type { FinishedStep, Journal } from './steps.ts'
import type { NewWait } from './waits.ts'

/** One message on its way to a child. */
export interface Dispatch {
  /** Unique in this runtime; each report names it. */
  readonly n: number
  /**
   * Dispatches with the same lane run in order; when one fails, those behind it are handed back. '': no lane.
   */
  readonly lane: string
  readonly attempt: number
  /** Suspected of ending its process: nothing runs beside it. */
  readonly alone: boolean
  readonly timeoutMs: number
  readonly message: Omit<HandlerMessage, 'content' | 'rawContent'> & { readonly content: string }
  /** The same for all messages of a workspace, and for no other: part of the ids of steps. */
  readonly scope: string
  /** Only where something is on record. */
  readonly journal?: Journal | undefined
}

/** One dispatch's end as the child tells it. `ms`: how long the handler took. */
export type Result =
  | ({ readonly n: number; readonly ms: number; readonly end: 'replied' } & Said)
  /**
   * `isQuiet` false: something that the handler has started goes on, so the process must not be used again.
   */
  | ({
      readonly n: number
      readonly ms: number
      readonly end: 'suspended'
      readonly waits: readonly NewWait[]
      readonly isQuiet: boolean
    } & Said)
  | {
      readonly n: number
      readonly ms: number
      readonly end: 'threw'
      readonly error: ErrorInfo
      readonly retry: RetryWish
    }
  | {
      readonly n: number
      readonly ms: number
      readonly end: 'bad-reply'
      readonly reason: BadReplyReason
      readonly error: ErrorInfo
    }
  | { readonly n: number; readonly ms: number; readonly end: 'bad-message'; readonly error: ErrorInfo }
  | {
      readonly n: number
      readonly ms: 0
      readonly end: 'back'
      readonly why: 'handed-back' | 'behind-a-failure'
    }

export type Report =
  | { readonly type: 'loaded'; readonly definition: unknown }
  | { readonly type: 'not-loaded'; readonly error: ErrorInfo }
  /** An uncaught error; the process is not used again. */
  | { readonly type: 'uncaught'; readonly error: ErrorInfo }
  | { readonly type: 'results'; readonly results: readonly Result[] }
  /** Answered by the order `kept`, once it is on disk. */
  | ({ readonly type: 'step'; readonly n: number } & FinishedStep)
  | {
      readonly type: 'log'
      readonly n: number
      readonly level: LogLevel
      readonly text: string
      readonly fields?: unknown
    }

/** The name of the loader code in a bundle's map: stack frames below it belong to this package. */
export const ENTRY = 'nanoclaw-entry'

/** The beginning of a bundle of which V8 is to keep nothing. */
export const NOT_KEPT = '/* V8 keeps nothing of this */'

/** Replaces a setup: the process waits for its bundle. */
export const PREWARMED = 'prewarmed'

/** The first order to a prewarmed process: its bundle. */
export interface Become {
  readonly type: 'become'
  /** What node would have been told to run. */
  readonly bundle: string
  readonly setup: ChildSetup
}

/** The setup of a child, as JSON in its first argument. */
export interface ChildSetup {
  readonly functionName: string
  /** Process id of the runtime: a child with another parent is an orphan. */
  readonly parent: number
  /** True: a thread ends the child with its parent, where the kernel cannot. */
  readonly watchParent: boolean
  readonly maxReplyBytes: number
  readonly maxLogBytes: number
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
