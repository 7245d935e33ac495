// The status of an ack. This runtime writes `processing`, `completed` or `failed`. Other runners write
// further statuses, such as `script-skip:error`: any status but `processing` is terminal, and only
// `completed` is a success.

export type TerminalStatus = 'completed' | 'failed'

/** undefined: not terminal. */
export function endOf(status: string): TerminalStatus | undefined {
  if (status === 'processing') return undefined
  return status === 'completed' ? 'completed' : 'failed'
}

/** The same as SQL, for a column `status`. */
export const HAS_ENDED = "status <> 'processing'"
