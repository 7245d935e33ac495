// What an ack says about its message. Ours say `processing`, `completed` or `failed`. Runners of other makes have more words
// for an end, such as `script-skip:error`: whatever is not `processing` has ended, and only `completed` is a success.

export type TerminalStatus = 'completed' | 'failed'

/** undefined: it is being worked on. */
export function endOf(status: string): TerminalStatus | undefined {
  if (status === 'processing') return undefined
  return status === 'completed' ? 'completed' : 'failed'
}

/** The same in SQL, about a column `status`. */
export const HAS_ENDED = "status <> 'processing'"
