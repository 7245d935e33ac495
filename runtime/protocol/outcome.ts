// How a run ended. A run is one attempt to handle one message in one child process, and every run ends in
// exactly one Outcome. Who makes them: workers/. Who reads them: schedule/backoff (what next) and
// store/outbox (what is kept).
import type { ErrorInfo } from './errors.ts'
import type { FinishedStep } from './steps.ts'
import type { NewWait } from './waits.ts'

/** A reply that is ready to be stored: its content is JSON text, its routing is decided. */
export interface Reply {
  readonly kind: string
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
  /** Milliseconds since 1970, or null: at once. */
  readonly deliverAfterMs: number | null
  readonly content: string
}

/** What a run has replied. */
export interface Said {
  readonly replies: readonly Reply[]
  /** The place of the first of them among all replies of the message; left out: none went out before. */
  readonly from?: number | undefined
}

export type Outcome =
  | ({ readonly type: 'replied' } & Said)
  /** It waits for something, and runs again from the top when that has come. */
  | ({ readonly type: 'suspended'; readonly waits: readonly NewWait[] } & Said)
  | { readonly type: 'threw'; readonly error: ErrorInfo; readonly retry: RetryWish }
  | { readonly type: 'timed-out'; readonly afterMs: number }
  /** `code` null: it closed its channel to the runtime and went on, so that it had to be ended. */
  | { readonly type: 'exited'; readonly code: number | null; readonly stderr: string }
  | { readonly type: 'killed'; readonly signal: string; readonly stderr: string }
  | { readonly type: 'out-of-memory'; readonly stderr: string }
  | { readonly type: 'bad-reply'; readonly reason: BadReplyReason; readonly error: ErrorInfo }
  | { readonly type: 'bad-message'; readonly reason: 'bad_json'; readonly error: ErrorInfo }
  | { readonly type: 'cancelled'; readonly why: CancelReason }

export type RetryWish =
  | { readonly wish: 'policy' }
  | { readonly wish: 'never' }
  | { readonly wish: 'after'; readonly delayMs: number }

export type BadReplyReason =
  | 'unserialisable_reply'
  | 'reply_too_large'
  | 'too_many_replies'
  | 'bad_question_id'
  | 'agent_chain_too_long'

/** Replies of one run; more than this is a loop that went wrong. */
export const REPLIES_MAX = 10_000
/**
 * All replies of one run travel and are committed together, and the runtime, which serves every function,
 * holds them meanwhile.
 */
export const REPLIES_CHARS_MAX = 64 * 1024 * 1024
/** A longer wait is a slip in the unit. */
export const RETRY_AFTER_MAX_MS = 366 * 24 * 60 * 60 * 1000

/**
 * The run never began, or was stopped for a reason that is not the handler's: nothing is charged.
 * `process-died`: the process ended while several messages were in it, so the cause is not known; each of
 * them runs isolated next.
 */
export type CancelReason = 'shutdown' | 'handed-back' | 'behind-a-failure' | 'not-started' | 'process-died'

/** How one run ended, as its worker reports it. */
export interface RunEnd {
  readonly n: number
  readonly outcome: Outcome
  readonly durationMs: number
}

/** Where the ends of a batch are reported. */
export interface Receiver {
  /** Whose messages these are. */
  readonly workspace: string
  /** Every dispatch exactly once, several at a time where they end together. */
  ended(ended: readonly RunEnd[]): void
  /**
   * A step of a run that goes on. `kept` is called once it is on disk; never, where it does not get there.
   */
  step(n: number, step: FinishedStep, kept: () => void): void
}
