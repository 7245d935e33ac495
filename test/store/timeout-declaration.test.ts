// What hosts read in container_state: whether a run may take longer than they wait by themselves. Real
// outbound.db.
import { expect, test } from 'vitest'
import { TimeoutDeclaration } from '../../runtime/store/timeout-declaration.ts'
import type { Db } from '../support/files.ts'
import { claim, completed, ending, NOW, type OpenOutbox, openOutbox, turn } from '../support/outbox.ts'
import { loseAnswer } from '../support/unanswered.ts'

const LIMITS: Readonly<Record<string, number>> = { quick: 60_000, long: 60_001, longer: 600_000 }

const started = () => {
  const open = openOutbox()
  return { ...open, writer: new TimeoutDeclaration(open.outbox, (name) => LIMITS[name] ?? 0) }
}
const ISO = '2026-11-24T06:02:20.123Z'
const told = (db: Db) =>
  db
    .prepare(
      'select id, current_tool, tool_declared_timeout_ms, tool_started_at, updated_at from container_state',
    )
    .raw()
    .all()
const toldMs = ({ db }: Pick<OpenOutbox, 'db'>) =>
  db.prepare('select tool_declared_timeout_ms from container_state').pluck().get()

test('a run that may take more than a minute is declared with its claim, until its end', () => {
  const { writer, db } = started()
  writer.commit(turn({ claims: [claim('a', { functionName: 'longer' })] }))
  expect(told(db)).toEqual([[1, 'Bash', 600_000, ISO, ISO]])

  writer.commit(turn({ nowMs: NOW + 877, results: [completed('a')] }))
  expect(told(db)).toEqual([[1, null, null, null, '2026-11-24T06:02:21.000Z']])
})

test('the longest of those that run counts, however each of them ends', () => {
  const open = started()
  const { writer } = open
  const names = ['quick', 'long', 'longer']
  writer.commit(turn({ claims: names.map((name) => claim(name, { functionName: name })) }))
  expect(toldMs(open)).toBe(600_000)
  writer.commit(turn({ results: [ending('longer', { type: 'retry', nextAtMs: NOW })] }))
  expect(toldMs(open)).toBe(60_001)
  writer.commit(turn({ results: [ending('long', { type: 'released', keep: false })] }))
  expect(toldMs(open)).toBeNull()
  writer.commit(turn({ claims: [claim('long', { functionName: 'long' })] }))
  writer.commit(turn({ results: [ending('long', { type: 'failed' })] }))
  expect(toldMs(open)).toBeNull()
})

test('a turn that changes nothing about it writes nothing about it', () => {
  const { writer, db } = started()
  writer.commit(turn({ claims: [claim('a', { functionName: 'long' })] }))
  const before = told(db)
  const later = NOW + 5_000
  writer.commit(turn({ nowMs: later, claims: [claim('b', { functionName: 'quick' })] }))
  writer.commit(turn({ nowMs: later, results: [completed('b')] }))
  // One long run follows the other in one turn, as under load.
  writer.commit(
    turn({ nowMs: later, results: [completed('a')], claims: [claim('c', { functionName: 'long' })] }),
  )
  expect(told(db)).toEqual(before)
})

test('a claim that was not to be had is not told for longer than until the next turn', () => {
  const open = started()
  const { writer, outbox } = open
  outbox.commit(turn({ claims: [claim('taken')] }))
  writer.commit(turn({ claims: [claim('taken', { functionName: 'longer' })] }))
  writer.commit(turn({ claims: [claim('b', { functionName: 'quick' })] }))
  expect(toldMs(open)).toBeNull()
})

test('a turn that cannot be written leaves it as it was, and declares it once it is written', () => {
  const open = started()
  const { writer, db } = open
  db.exec('begin exclusive')
  const long = turn({ claims: [claim('a', { functionName: 'long' })] })
  expect(() => writer.commit(long)).toThrow(/locked/)
  db.exec('commit')
  writer.commit(turn({ claims: [claim('b', { functionName: 'quick' })] }))
  expect(toldMs(open)).toBeNull()
  writer.commit(long)
  expect(toldMs(open)).toBe(60_001)
})

test('what a commit has told that took effect and reported an error is told anew with the next one [183]', () => {
  const open = started()
  const long = turn({ claims: [claim('a', { functionName: 'long' })] })
  loseAnswer()
  expect(() => open.writer.commit(long)).toThrow(/disk/)
  expect(toldMs(open)).toBe(60_001)
  open.writer.commit(turn({ claims: [claim('b', { functionName: 'quick' })] }))
  expect(toldMs(open)).toBeNull()
})

test('a start unsays what a runtime that is gone had told', () => {
  const { writer, outbox, path } = started()
  writer.commit(turn({ claims: [claim('a', { functionName: 'longer' })] }))
  outbox.close()
  expect(toldMs(openOutbox(path))).toBeNull()
})
