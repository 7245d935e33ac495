// A function as the runtime knows it: the definition that its author wrote, checked and with every default filled in.
// Made by catalog/definition.ts; everything behind it trusts these values.

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
  /** Left out: only messages that wake. */
  readonly trigger?: readonly boolean[]
  readonly content: readonly { readonly path: readonly string[]; readonly values: readonly Scalar[] }[]
}

/** What the ordering key is made of: the reply address (the default), paths into the message, or no order. */
export type KeyRule = 'address' | 'none' | readonly (readonly string[])[]

export interface FunctionSpec {
  readonly name: string
  /** Relative to the project, for messages to people. */
  readonly file: string
  readonly rule: Rule
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly concurrency: number
  readonly key: KeyRule
  readonly rawContent: boolean
  /** The bundle that a child runs: one ES module file, named by the hash of what it was made from. */
  readonly bundle: string
}

/** The part of a message that routing and ordering look at. */
export interface Routable {
  readonly kind: string
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
  /** False: context that wakes nobody by itself. */
  readonly trigger: boolean
  /** Content as text; parsed only where a rule or a key asks for it. */
  readonly content: string | null
}
