// What parent and child say to each other, as JSON over Node's own channel. Parent → child: Order (wire.ts). Child → parent: Report.
// A handler shares the child's process, so a Report is never believed further than its shape and its dispatch number.
import type { ErrorInfo } from './errors.ts'
import type { Message } from './handler.ts'
import type { BadReplyReason, Reply, RetryWish } from './outcome.ts'

/** One message on its way to a child. */
export interface Dispatch {
  /** Unique in this runtime; whoever answers names it. */
  readonly n: number
  /** Dispatches with the same lane run in order; when one fails, those behind it are handed back. '': no lane. */
  readonly lane: string
  readonly attempt: number
  /** Suspected of ending its process: nothing runs beside it. */
  readonly alone: boolean
  readonly timeoutMs: number
  readonly message: Omit<Message, 'content' | 'rawContent'> & { readonly content: string }
}

/** One dispatch's end as the child tells it. `ms`: how long the handler took. */
export type Result =
  | { readonly n: number; readonly ms: number; readonly end: 'replied'; readonly replies: readonly Reply[] }
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
  /** An error that nobody caught; the process is of no more use. */
  | { readonly type: 'uncaught'; readonly error: ErrorInfo }
  | { readonly type: 'results'; readonly results: readonly Result[] }
  | {
      readonly type: 'log'
      readonly n: number
      readonly level: LogLevel
      readonly text: string
      readonly fields?: unknown
    }

/** What the code that loads the author's module is called in a bundle's map: what lies below it in a stack is ours. */
export const ENTRY = 'nanoclaw-entry'

/** The beginning of a bundle of which V8 is to keep nothing. */
export const NOT_KEPT = '/* V8 keeps nothing of this */'

/** In place of a setup: the process waits until it is told what to become. */
export const PREWARMED = 'prewarmed'

/** What a process is told that was started without a function, once and before anything else. */
export interface Become {
  readonly type: 'become'
  /** What node would have been told to run. */
  readonly bundle: string
  readonly setup: ChildSetup
}

/** What a child is told at its start, as JSON in its first argument. */
export interface ChildSetup {
  readonly functionName: string
  /** Process id of the runtime: whoever has another parent by now is an orphan. */
  readonly parent: number
  /** From a thread, where the kernel does not see to it that we die with the parent. */
  readonly watchParent: boolean
  readonly maxReplyBytes: number
  readonly maxLogBytes: number
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
