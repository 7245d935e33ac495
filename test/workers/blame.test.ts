// Which message is charged with the end of a process, row by row.
import { expect, test } from 'vitest'
import type { Outcome } from '../../runtime/protocol/outcome.ts'
import { blame, type ProcessExit, type ProcessFault } from '../../runtime/workers/blame.ts'

const ERROR = { name: 'Error', message: 'from a timer' }
const STDERR = 'its last lines\n'
const PROCESS_DIED: Outcome = { type: 'cancelled', why: 'process-died' }
const SHUTDOWN: Outcome = { type: 'cancelled', why: 'shutdown' }
const THREW: Outcome = { type: 'threw', error: ERROR, retry: { wish: 'policy' } }

const BY_CODE: Partial<ProcessExit> = { code: 3 }
const BY_SIGNAL: Partial<ProcessExit> = { code: null, signal: 'SIGSEGV' }
const HEAP_FULL: Partial<ProcessExit> = { ...BY_SIGNAL, signal: 'SIGABRT', heapFull: true }
const KILLED: Partial<ProcessExit> = { code: null, signal: 'SIGKILL' }
const TIMED_OUT: Partial<ProcessExit> = { ...KILLED, fault: { type: 'timed-out', n: 1 } }
const UNCAUGHT: Partial<ProcessExit> = { ...KILLED, fault: { type: 'uncaught', error: ERROR } }
const CHANNEL_LOST: Partial<ProcessExit> = { ...KILLED, fault: { type: 'channel-lost' } }

const FIRST = { served: 0 }
const LATER = { served: 7 }

const exited = (code: number | null): Outcome => ({ type: 'exited', code, stderr: STDERR })
const killed = (signal: string): Outcome => ({ type: 'killed', signal, stderr: STDERR })
const outOfMemory: Outcome = { type: 'out-of-memory', stderr: STDERR }
const timedOut: Outcome = { type: 'timed-out', afterMs: 500 }

/** `suspect`: it was isolated already. */
const message = (n: number, suspect = false) => ({ n, alone: suspect, timeoutMs: 500 })

const exit = (...facts: Partial<ProcessExit>[]): ProcessExit =>
  Object.assign(
    {
      fault: undefined,
      shutdown: false,
      served: 0,
      code: null,
      signal: null,
      stderr: STDERR,
      heapFull: false,
    },
    ...facts,
  )

test.each<[what: string, facts: Partial<ProcessExit>, outcome: Outcome]>([
  ['its own exit with a code', BY_CODE, exited(3)],
  ['its own exit without a code and without a signal', {}, exited(0)],
  ['a signal', BY_SIGNAL, killed('SIGSEGV')],
  ['a full heap', HEAP_FULL, outOfMemory],
])(
  'a message alone in its process is charged with %s, whatever the process served before',
  (_what, facts, outcome) => {
    for (const served of [FIRST, LATER])
      for (const suspect of [false, true])
        expect(blame(exit(facts, served), [message(1, suspect)])).toEqual([outcome])
  },
)

test.each<[what: string, facts: Partial<ProcessExit>, outcome: Outcome]>([
  ['an error that its code did not catch', UNCAUGHT, THREW],
  ['a lost channel', CHANNEL_LOST, exited(null)],
  ['a lost channel after a full heap', { ...CHANNEL_LOST, heapFull: true }, outOfMemory],
])(
  'a message alone in its process is charged with %s only where no message before it can be the cause',
  (_what, facts, outcome) => {
    expect(blame(exit(facts, FIRST), [message(1)])).toEqual([outcome])
    expect(blame(exit(facts, LATER), [message(1, true)])).toEqual([outcome])
    expect(blame(exit(facts, LATER), [message(1)])).toEqual([PROCESS_DIED])
  },
)

test('the message that timed out is charged with that; the one behind it is not', () => {
  for (const served of [FIRST, LATER]) {
    expect(blame(exit(TIMED_OUT, served), [message(1)])).toEqual([timedOut])
    expect(blame(exit(TIMED_OUT, served), [message(2)])).toEqual([PROCESS_DIED])
  }
})

test('a message that timed out in a process that ends by itself has timed out', () => {
  const fault: ProcessFault = { type: 'timed-out', n: 1 }
  for (const end of [BY_CODE, BY_SIGNAL, HEAP_FULL])
    expect(blame(exit(end, { fault }), [message(1)])).toEqual([timedOut])
})

const ENDS = { BY_CODE, BY_SIGNAL, HEAP_FULL, TIMED_OUT, UNCAUGHT, CHANNEL_LOST }

test.each(Object.entries(ENDS))(
  'no message is charged with %s while several were in the process',
  (_what, facts) => {
    for (const served of [FIRST, LATER])
      expect(blame(exit(facts, served), [message(1), message(2, true), message(3)])).toEqual([
        PROCESS_DIED,
        PROCESS_DIED,
        PROCESS_DIED,
      ])
  },
)

test.each(Object.entries(ENDS))(
  'no message is charged with %s once the runtime shuts down',
  (_what, facts) => {
    const shutdown = true
    expect(blame(exit(facts, { shutdown }), [message(1)])).toEqual([SHUTDOWN])
    expect(blame(exit(facts, { shutdown }), [message(1, true), message(2)])).toEqual([SHUTDOWN, SHUTDOWN])
  },
)

test('the end of an empty process charges no message', () => {
  for (const facts of Object.values(ENDS)) expect(blame(exit(facts), [])).toEqual([])
})
