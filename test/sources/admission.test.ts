// Where a row of inbound.db belongs, case by case.
import { expect, test } from 'vitest'
import type { History } from '../../runtime/protocol/commit-batch.ts'
import type { FunctionSpec } from '../../runtime/protocol/function.ts'
import { decideAdmission, type Router } from '../../runtime/sources/admission.ts'
import type { PendingRow } from '../../runtime/sources/pending-row.ts'

const SPEC = { name: 'f' } as FunctionSpec
const NOW = Date.UTC(2026, 10, 24, 12)
const ROUTER: Router = {
  readsContent: false,
  names: ['f'],
  route: ({ kind }) => (kind === 'f' ? SPEC : undefined),
  keyOf: (_, { threadId }) => threadId,
  get: () => SPEC,
  isContext: ({ trigger, kind }) => !trigger && kind === 'chatter',
}
const ROW: PendingRow = {
  id: 'm',
  rowid: 1,
  seq: 2,
  kind: 'f',
  channelType: null,
  platformId: null,
  threadId: 't',
  trigger: true,
  content: null,
  processAfter: null,
  onWake: false,
  contentBytes: 10,
}
const RECORD: History = {
  done: false,
  runs: 2,
  attempts: 1,
  turnedAwaySinceMs: null,
  crashes: 0,
  interrupted: false,
  nextAtMs: null,
  waitMs: null,
  wakeAtMs: null,
  woken: false,
  begunBy: null,
}
const decide = (row: Partial<PendingRow>, facts: { atStart?: boolean; history?: Partial<History> } = {}) => {
  const history = facts.history && { ...RECORD, ...facts.history }
  const { atStart = false } = facts
  return decideAdmission(
    { ...ROW, ...row },
    {
      nowMs: NOW,
      maxContentBytes: 100,
      atStart,
      history,
      answer: undefined,
      last: undefined,
      wasIsolated: false,
    },
    ROUTER,
  )
}

test.each([
  ['is on record as finished', {}, { history: { done: true } }, { type: 'finished' }],
  [
    'has a time that cannot be read',
    { processAfter: 'soon' },
    {},
    { rejection: { reason: 'bad_process_after' } },
  ],
  ['has too much content', { contentBytes: 101 }, {}, { rejection: { reason: 'content_too_large' } }],
  ['waits for a start', { onWake: true }, {}, { type: 'parked', why: 'on-wake' }],
  ['waited for this start', { onWake: true }, { atStart: true }, { type: 'lane', untilMs: undefined }],
  ['is due later', { processAfter: '2026-11-24 12:00:01' }, {}, { type: 'scheduled', dueAtMs: NOW + 1_000 }],
  ['is taken by no function', { kind: 'x' }, {}, { type: 'parked', why: 'unroutable', kind: 'x' }],
  ['is context', { kind: 'chatter', trigger: false }, {}, { rejection: { ack: 'completed' } }],
  ['is new', {}, {}, { type: 'lane', facts: { key: 't', runs: 0, attempts: 0, isolated: false } }],
  ['has run before', {}, { history: {} }, { type: 'lane', facts: { runs: 2, attempts: 1, isolated: false } }],
  ['was cut short', {}, { history: { interrupted: true } }, { facts: { isolated: true } }],
  ['ended its process', {}, { history: { crashes: 1 } }, { facts: { isolated: true } }],
  ['waits for its next attempt', {}, { history: { nextAtMs: NOW + 50 } }, { untilMs: NOW + 50 }],
  [
    'waits no longer than its pause was, when the clock was set back',
    {},
    { history: { nextAtMs: NOW + 3_600_000, waitMs: 70 } },
    { untilMs: NOW + 70 },
  ],
])('a message that %s', (_, row, facts, expected) => {
  expect(decide(row, facts)).toMatchObject(expected)
})
