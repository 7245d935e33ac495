// Waits: what a handler waits for by name (ctx.sleep, ctx.ask), as it comes on record, and what a store says
// about messages that wait.

/** A wait that is on record. */
export interface RecordedWait {
  readonly name: string
  readonly kind: 'sleep' | 'ask'
  /**
   * `open`: the message may have been woken by another one. `timeout`: of a question without an answer in
   * time. `closed`: the host had ended the message, and has inserted it again.
   */
  readonly state: 'open' | 'done' | 'timeout' | 'closed'
  /** JSON text of the answer to a question; null: none. */
  readonly value: string | null
  /** So many replies of the message were on record once it had begun. */
  readonly replies: number
  /** The run that came to it; all that are of the same one went out together. */
  readonly run: number
  /** Hashes of the replies that went out with it. */
  readonly said: readonly string[]
  /** No other wait was open: whatever a run says before it has gone out with it, also in other words. */
  readonly isAlone: boolean
}

/** A wait that a run has come to. */
export interface NewWait extends Pick<RecordedWait, 'name' | 'kind' | 'said' | 'isAlone'> {
  /** So long from when it comes on record, or until this instant; milliseconds. */
  readonly until: { readonly forMs: number } | { readonly atMs: number }
  readonly question: NewQuestion | null
}

export interface NewQuestion {
  readonly id: string
  /** The values that may be given; null: any text. */
  readonly values: readonly string[] | null
  /** The next chat message of this conversation is an answer, too: see addressKey. null: none is. */
  readonly address: string | null
}

/** A conversation as one text, for those to be found that are the same. */
export function addressKey(of: {
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
}): string {
  return JSON.stringify([of.channelType, of.platformId, of.threadId])
}

/** Open waits of one message. */
export const WAITS_MAX = 100

/** Messages between two runs because of a wait. They leave this list when they are claimed. */
export interface WaitQueries {
  /** Those of functions whose waits hold their lane, in the order of their ids. */
  holding(afterId: string, limit: number): readonly string[]
  /** Those whose time comes until `nowMs`, in the order of time and id, behind a place in that order. */
  due(after: WaitPlace, nowMs: number, limit: number): readonly WaitPlace[]
  /** Those that an answer has woken, in the order of their ids. */
  ready(afterId: string, limit: number): readonly string[]
  /** The earliest time behind this one; undefined: none. */
  nextAtMs(afterMs: number): number | undefined
  /** Which of these are questions of this store. */
  questions(ids: readonly string[]): readonly AskedQuestion[]
  /**
   * Open questions that the next chat message of these conversations answers (addressKey), in the order in
   * which they were asked.
   */
  openAt(addresses: readonly string[]): readonly OpenQuestion[]
  /** There is such a question, of any conversation. */
  asksText(): boolean
}

export interface WaitPlace {
  readonly wakeAtMs: number
  readonly id: string
}

export interface AskedQuestion {
  readonly questionId: string
  readonly messageId: string
  readonly isOpen: boolean
  /** The values that may be given; null: any text. */
  readonly values: readonly string[] | null
}

export interface OpenQuestion {
  readonly questionId: string
  readonly address: string
  /** A message of a lower seq was there before the question. */
  readonly afterSeq: number
}
