// The states of a message: every step that the table has is taken, every other one throws and names the way
// so far.
import { describe, expect, test } from 'vitest'
import {
  enter,
  found,
  historyOf,
  IllegalTransition,
  type MessageState,
  type StateName,
  TRANSITIONS,
} from '../../runtime/queue/message.ts'
import { entryOf } from '../support/entries.ts'

const entry = entryOf('m-1', {
  order: 2,
  spec: { name: 'f' } as never,
  key: null,
  contentBytes: 1,
  runs: 0,
  attempts: 0,
  turnedAwaySinceMs: null,
  crashes: 0,
  isolated: false,
  waits: false,
})
const { source } = entry.message
const STATES: Readonly<Record<StateName, MessageState>> = {
  found: { type: 'found' },
  scheduled: { type: 'scheduled', dueAtMs: 1 },
  parked: { type: 'parked', why: 'unroutable', kind: 'x' },
  skipped: { type: 'skipped' },
  rereading: { type: 'rereading', last: undefined, holdsLane: false },
  ready: { type: 'ready', entry },
  retrying: { type: 'retrying', entry, untilMs: 1 },
  waiting: { type: 'waiting', entry },
  claiming: { type: 'claiming', entry },
  running: { type: 'running', entry },
  finishing: { type: 'finishing', entry },
  gone: { type: 'gone' },
}
const NAMES = Object.keys(STATES) as StateName[]

describe.each(NAMES)('from %s', (from) => {
  test.each(NAMES)('to %s', (to) => {
    const message = { ...found('m-1', 2, source), state: STATES[from] }
    const step = () => enter(message, STATES[to])
    if (!TRANSITIONS[from].includes(to)) return expect(step).toThrow(IllegalTransition)
    step()
    expect(message.state).toBe(STATES[to])
  })
})

test('a message that ran and is finished is never ready again', () => {
  const message = found('m-1', 2, source)
  for (const name of ['ready', 'claiming', 'running', 'finishing', 'gone'] as const)
    enter(message, STATES[name])
  expect(() => enter(message, STATES.ready)).toThrow(
    'message "m-1" cannot become ready: it went ready → claiming → running → finishing → gone',
  )
})

test('the last eight states are remembered', () => {
  const message = found('m-1', 2, source)
  enter(message, STATES.ready)
  for (let n = 0; n < 5; n++) for (const name of ['claiming', 'ready'] as const) enter(message, STATES[name])
  expect(historyOf(message)).toEqual(Array.from({ length: 4 }, () => ['claiming', 'ready']).flat())
})
