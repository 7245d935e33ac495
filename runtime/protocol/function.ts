// A checked function definition with all defaults. Made by catalog/definition.ts; later code trusts these
// values.

export interface RetryPolicy {
  readonly attempts: number
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly factor: number
}

export type Scalar = string | number | boolean | null

/** One list of legal values per condition; a message must satisfy all of them. */
export interface Rule {
  readonly kind?: readonly string[]
  readonly channelType?: readonly string[]
  readonly platformId?: readonly string[]
  readonly threadId?: readonly string[]
  /** Default: only messages with trigger 1. */
  readonly trigger?: readonly boolean[]
  readonly content: readonly { readonly path: readonly string[]; readonly values: readonly Scalar[] }[]
}

/** The source of the ordering key: the reply address (the default), paths into the message, or no order. */
export type KeyRule = 'address' | 'none' | readonly (readonly string[])[]

export interface FunctionSpec {
  readonly name: string
  /** Relative to the project; for error texts. */
  readonly file: string
  readonly rule: Rule
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly concurrency: number
  readonly key: KeyRule
  /** Of what its steps mean. */
  readonly version: number
  /** Nothing of an ordering key runs while its message waits. */
  readonly holdsWhileWaiting: boolean
  readonly rawContent: boolean
  /** The bundle that a child runs: named by the hash of its content. */
  readonly bundle: string
}

/** The part of a message that routing and ordering read. */
export interface Routable {
  readonly kind: string
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
  /** False: context, which starts no run by itself. */
  readonly trigger: boolean
  /** Content as text; parsed only where a rule or a key reads it. */
  readonly content: string | null
}
