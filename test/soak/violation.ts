// What must hold whatever dies, by its number, and one finding that it did not.

export const INVARIANTS = {
  I1: 'one ack a message, ended once and for ever',
  I2: 'replies of a completed message exactly once, of a failed one none',
  I3: 'no reply without its ack or its wait in the same commit',
  I4: 'one key: starts and ends in order, no overlap',
  I5: 'inbound.db untouched by the runtime',
  I6: 'everything due ends once faults are off',
  I7: 'attempts counted across restarts, never above the limit',
  I8: 'nothing starts, and no sleep ends, before its time',
  I9: 'no orphans, no stray files, memory and descriptors bounded',
  I10: 'outbound.db sound, its epoch rising',
  I11: 'every failure has its reason and one log line; exit codes as documented',
  I12: 'a step that is on disk is not done again',
  I13: 'a question is asked once, and answered once by one message',
  I14: 'what waits has a wait that is open, and no ack; what has ended has none',
} as const

export type Invariant = keyof typeof INVARIANTS

export interface Violation {
  readonly invariant: Invariant
  readonly text: string
}
