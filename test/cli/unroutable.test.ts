import { expect, test } from 'vitest'
import { whyItWaits } from '../../runtime/cli/unroutable.ts'
import type { RuntimeStatus } from '../../runtime/protocol/status-file.ts'

const NOW_MS = Date.UTC(2026, 10, 24, 12)
const FILE = { path: '', readable: true, reason: null }
const NOTE: RuntimeStatus = {
  pid: 1,
  host: 'h',
  workspace: '/w',
  startedAt: '',
  epoch: 1,
  functions: [
    { name: 'syntax', file: 'functions/syntax.ts', broken: 'it does not build' },
    { name: 'picky', file: 'functions/picky.ts' },
  ],
  unroutable: { nobody: 1, syntax: 2, picky: 1 },
  state: 'running',
}
const run = {
  run: 1,
  attempt: 1,
  functionName: 'chat',
  worker: null,
  startedAtMs: 0,
  endedAtMs: 0,
  durationMs: 0,
  outcome: 'threw',
  reason: null,
  error: null,
}

test.each([
  [{ kind: 'nobody' }, {}, 'no function takes kind nobody; functions/nobody.ts would take it'],
  [{ kind: 'syntax' }, {}, 'functions/syntax.ts is broken and must be fixed'],
  [{ kind: 'picky' }, {}, 'no function takes this message of kind picky; see the `on` of functions/picky.ts'],
  [{ kind: 'chat' }, {}, undefined],
  [{ process_after: '2026-11-24 12:05:00' }, {}, 'it is due in 5 min'],
  [{ process_after: '2026-11-24 11:00:00' }, {}, undefined],
  [{ status: 'paused' }, {}, 'its host has paused it'],
  [{}, { running: false }, 'no runtime is running; start one: nanoclaw dev'],
  [{}, { note: null }, undefined],
  [
    {},
    { note: { ...NOTE, state: 'holding' as const, waitingFor: 'outbound.db: SQLITE_FULL' } },
    'the runtime waits for outbound.db: SQLITE_FULL',
  ],
])('a message %j with a runtime %j waits since: %s', (columns, seen, why) => {
  const message = { kind: 'chat', status: 'pending', process_after: null, ...columns }
  const report = {
    id: 'm',
    inbound: FILE,
    outbound: FILE,
    message,
    ack: null,
    runs: [],
    steps: [],
    replies: [],
  }
  expect(whyItWaits(report, { running: true, note: NOTE, heartbeatAtMs: null, ...seen }, NOW_MS)).toBe(why)
  const ended = { ...report, ack: { status: 'completed', changedAt: '' } }
  expect(whyItWaits(ended, { running: true, note: NOTE, heartbeatAtMs: null, ...seen }, NOW_MS)).toBe(
    undefined,
  )
})

test('a message between two attempts is due later', () => {
  const runs = [{ ...run, nextAtMs: NOW_MS + 2_000 }]
  const report = {
    id: 'm',
    inbound: FILE,
    outbound: FILE,
    message: { kind: 'chat' },
    ack: null,
    runs,
    steps: [],
    replies: [],
  }
  expect(whyItWaits(report, { running: true, note: NOTE, heartbeatAtMs: null }, NOW_MS)).toBe(
    'it is due in 2 s',
  )
})
