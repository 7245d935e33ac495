// One process as its runtime sees it, with reports made by the test.
import { expect, test } from 'vitest'
import type { Dispatch } from '../../runtime/protocol/ipc.ts'
import type { RunEnd } from '../../runtime/protocol/outcome.ts'
import { Worker } from '../../runtime/workers/worker.ts'
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

const ERROR = { name: 'Error', message: 'stopped by its signal' }

function child({ loads = true } = {}) {
  let report: (said: unknown) => void = () => undefined
  let end: (code: number | null, signal: string | null) => void = () => undefined
  let lose: () => void = () => undefined
  let killed: string | undefined
  let why: string | undefined
  const clock = new FakeClock()
  const ended: RunEnd[] = []
  const nothing = () => undefined
  const child = new Worker(
    'echo',
    'echo.mjs',
    {
      clock,
      limits: LIMITS,
      spawner: {
        spawn: () => ({
          pid: 1,
          alive: true,
          send: nothing,
          become: nothing,
          onReport: (listener) => (report = listener),
          onData: nothing,
          onEnd: (listener) => (end = listener),
          onChannelLost: (listener) => (lose = listener),
          kill: (signal) => (killed = signal),
        }),
        stop: async () => undefined,
      },
    },
    {
      loaded: nothing,
      free: nothing,
      gone: (_child, exit) => (why = exit.why),
      output: nothing,
      log: nothing,
    },
  )
  if (loads) report({ type: 'loaded', definition: {} })
  const run = (n: number, alone: boolean) =>
    child.run([{ n, alone, lane: '', attempt: 1, timeoutMs: 1_000, message: {} } as Dispatch], {
      workspace: 'w',
      ended: (each) => void ended.push(...each),
      step: () => undefined,
    })
  const answer = (...ns: number[]) =>
    report({ type: 'results', results: ns.map((n) => ({ n, ms: 0, end: 'replied', replies: [] })) })
  const fails = (n: number) =>
    report({
      type: 'results',
      results: [{ n, ms: 1_050, end: 'threw', error: ERROR, retry: { wish: 'policy' } }],
    })
  const exit = () => end(null, killed ?? null)
  const dies = () => killed !== undefined && exit()
  const outcome = (n: number) => ended.find((each) => each.n === n)?.outcome
  return {
    child,
    clock,
    run,
    answer,
    fails,
    exit,
    dies,
    outcome,
    lose: () => lose(),
    killed: () => killed,
    why: () => why,
  }
}

test('a process that ignores SIGTERM is killed after its grace, however often it is stopped [133]', () => {
  const { child: it, clock, killed } = child()
  for (let n = 0; n < 4; n++) {
    it.retire('its function has changed')
    expect(killed()).toBe('SIGTERM')
    clock.advance(30)
  }
  expect(killed()).toBe('SIGKILL')
})

test('a process that loses its channel is killed; one that is ending already keeps its grace [129]', () => {
  const usable = child()
  usable.lose()
  expect(usable.killed()).toBe('SIGKILL')
  const leaving = child()
  leaving.child.retire('its function has changed')
  leaving.lose()
  expect(leaving.killed()).toBe('SIGTERM')
  leaving.clock.advance(100)
  expect(leaving.killed()).toBe('SIGKILL')
})

test('a second result for one message ends the process, and the message behind it is not charged [18]', () => {
  const { run, answer, dies, outcome } = child()
  run(1, false)
  run(2, false)
  answer(1, 1)
  dies()
  expect(outcome(1)).toMatchObject({ type: 'replied' })
  expect(outcome(2)).toEqual({ type: 'cancelled', why: 'process-died' })
})

test('a result for an unknown message is charged to an isolated message [19]', () => {
  const { run, answer, dies, outcome } = child()
  run(1, false)
  answer(1)
  run(2, true)
  answer(99)
  dies()
  expect(outcome(2)).toMatchObject({ type: 'threw', error: { name: 'Forged' } })
})

test('a result after the timeout counts while the process lives; an error then is the timeout [3]', () => {
  const answers = child()
  answers.run(1, false)
  answers.clock.advance(1_050)
  answers.answer(1)
  expect(answers.outcome(1)).toMatchObject({ type: 'replied' })
  expect(answers.killed()).toBe('SIGTERM')
  const throws = child()
  throws.run(1, false)
  throws.clock.advance(1_050)
  throws.fails(1)
  expect(throws.outcome(1)).toEqual({ type: 'timed-out', afterMs: 1_050 })
  expect(throws.killed()).toBe('SIGTERM')
})
test('a runtime that stood still does not charge a message with that time, but a few times at most', () => {
  const it = child()
  it.run(1, false)
  for (let absence = 0; absence < 3; absence++) {
    it.clock.sleep(5_000)
    it.clock.advance(999)
    expect(it.outcome(1)).toBeUndefined()
  }
  it.clock.sleep(5_000)
  it.clock.advance(0)
  it.clock.advance(200)
  it.dies()
  expect(it.outcome(1)).toMatchObject({ type: 'timed-out' })
})

test('a retired process still times out its message', () => {
  const it = child()
  it.run(1, false)
  it.clock.advance(900)
  it.child.retire('its function has changed')
  expect(it.killed()).toBeUndefined()
  it.clock.advance(100)
  expect(it.killed()).toBeUndefined()
  it.clock.advance(100)
  expect(it.killed()).toBe('SIGTERM')
  it.clock.advance(100)
  expect(it.killed()).toBe('SIGKILL')
  it.dies()
  expect(it.outcome(1)).toEqual({ type: 'timed-out', afterMs: 1_000 })
  expect(it.why()).toBe('a message took longer than its 1000 ms')
})

type Child = ReturnType<typeof child>

test.each<[state: string, has: 'started' | 'loaded' | 'a message', then: (it: Child) => void]>([
  ['loads', 'started', () => undefined],
  ['is idle', 'loaded', () => undefined],
  ['runs a message', 'a message', () => undefined],
  ['has to go after its message', 'a message', ({ child }) => child.retire('it has to go')],
  ['has its time to heed an abort', 'a message', ({ clock }) => clock.advance(1_000)],
  ['has got SIGTERM', 'loaded', ({ child }) => child.retire('it has to go')],
  ['has got SIGTERM before it had loaded', 'started', ({ child }) => child.retire('it has to go')],
  ['has got SIGKILL', 'a message', ({ child }) => child.kill('it has to go')],
])(
  'a process that exits while it %s leaves no timer, takes no message, and exits once',
  (_state, has, then) => {
    const it = child({ loads: has !== 'started' })
    if (has === 'a message') it.run(1, false)
    then(it)
    it.exit()
    expect(it.clock.timers).toBe(0)
    it.child.retire('it has to go')
    it.child.kill('it has to go')
    it.run(2, false)
    expect(it.outcome(2)).toEqual({ type: 'cancelled', why: 'not-started' })
    expect(it.clock.timers).toBe(0)
    expect(it.exit).toThrow('worker 1 cannot go from exited to exited')
  },
)
