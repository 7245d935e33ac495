// One process as its runtime sees it, told by hand what it reports.
import { expect, test } from 'vitest'
import type { Dispatch } from '../../runtime/protocol/ipc.ts'
import { Child, type Ended } from '../../runtime/workers/child.ts'
import { FakeClock } from '../support/fake-clock.ts'

const LIMITS = {
  loadTimeoutMs: 1_000,
  abortGraceMs: 100,
  killGraceMs: 100,
  maxMemoryMb: 100,
  maxReplyBytes: 1_000,
  maxLogBytes: 1_000,
  maxMessagesPerWorker: 100,
  env: {},
  nodeArgs: [],
  cwd: '',
}

function child() {
  let report: (said: unknown) => void = () => undefined
  let end: (code: number | null, signal: string | null) => void = () => undefined
  let killed: string | undefined
  const ended: Ended[] = []
  const nobody = () => undefined
  const child = new Child(
    'echo',
    'echo.mjs',
    {
      clock: new FakeClock(),
      limits: LIMITS,
      spawner: {
        spawn: () => ({
          pid: 1,
          alive: true,
          send: nobody,
          become: nobody,
          onReport: (listener) => (report = listener),
          onData: nobody,
          onEnd: (listener) => (end = listener),
          kill: (signal) => (killed = signal),
        }),
        stop: async () => undefined,
      },
    },
    { loaded: nobody, free: nobody, gone: nobody, output: nobody, log: nobody },
  )
  report({ type: 'loaded', definition: {} })
  const run = (n: number, alone: boolean) =>
    child.run([{ n, alone, lane: '', attempt: 1, timeoutMs: 1_000, message: {} } as Dispatch], (each) =>
      ended.push(...each),
    )
  const answer = (...ns: number[]) =>
    report({ type: 'results', results: ns.map((n) => ({ n, ms: 0, end: 'replied', replies: [] })) })
  const dies = () => killed !== undefined && end(null, killed)
  return { run, answer, dies, outcome: (n: number) => ended.find((each) => each.n === n)?.outcome }
}

test('18: a second answer for one message ends the process, and is not held against the message behind it', () => {
  const { run, answer, dies, outcome } = child()
  run(1, false)
  run(2, false)
  answer(1, 1)
  dies()
  expect(outcome(1)).toMatchObject({ type: 'replied' })
  expect(outcome(2)).toEqual({ type: 'cancelled', why: 'process-died' })
})

test('19: an answer for a message that is not there is charged to one that was suspected already', () => {
  const { run, answer, dies, outcome } = child()
  run(1, false)
  answer(1)
  run(2, true)
  answer(99)
  dies()
  expect(outcome(2)).toMatchObject({ type: 'threw', error: { name: 'Forged' } })
})
