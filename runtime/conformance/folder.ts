// The two files of a session as they lie there, judged by the rules of docs/protocol.md. It only looks: both are opened
// read-only, and a host and a runtime may be at work meanwhile.

import { formatDuration } from '../protocol/duration.ts'
import type { Paths } from '../protocol/files.ts'
import { MESSAGE_COLUMNS, MESSAGES_IN } from '../protocol/schema.ts'
import { type AckFacts, ExaminedFile, touchedAtMs } from '../store/sqlite/examine.ts'
import { type CheckName, type Finding, fail, pass, skip } from './checks.ts'
import { ackFindings, messageFindings, replyFindings } from './rows.ts'

type FolderPaths = Pick<Paths, 'inbound' | 'outbound' | 'heartbeat'>

const ACK_COLUMNS = ['message_id', 'status', 'status_changed']
const REPLY_COLUMNS = ['id', 'seq', 'in_reply_to', 'timestamp', 'deliver_after', 'recurrence', 'kind'].concat(
  ['platform_id', 'channel_type', 'thread_id', 'content'],
)

/** Older than this, a heartbeat says that its runtime is gone. */
const DEAD_AFTER_MS = 15_000

export function examineInbound({ inbound }: Pick<FolderPaths, 'inbound'>): Finding[] {
  const file = new ExaminedFile(inbound)
  try {
    const rest: CheckName[] = [
      'in-journal',
      'in-pages',
      'in-ids',
      'in-seq',
      'in-status',
      'in-times',
      'in-content',
    ]
    if (!file.state.readable) return unreadable(file, 'in-file', ['in-tables', ...rest])
    const columns = file.columns('messages_in')
    const lacking = MESSAGE_COLUMNS.filter((name) => !columns.has(name))
    const missing = lacking.filter((name) => !('missing' in MESSAGES_IN[name]))
    if (missing.length > 0)
      return [
        pass('in-file'),
        fail(
          'in-tables',
          columns.size === 0 ? 'there is no table messages_in' : `it lacks ${missing.join(', ')}`,
        ),
        ...rest.map((name) => skip(name, 'no table')),
      ]
    return [
      pass('in-file'),
      pass('in-tables', lacking.length === 0 ? 'newest shape' : `${lacking.length} by default`),
      journal(file, 'in-journal', true),
      pages(file, 'in-pages'),
      ...messageFindings(file),
    ]
  } finally {
    file.close()
  }
}

export function examineOutbound({ inbound, outbound, heartbeat }: FolderPaths, nowMs: number): Finding[] {
  const file = new ExaminedFile(outbound)
  const host = new ExaminedFile(inbound)
  try {
    const rest: CheckName[] = ['out-journal', 'out-pages', 'ack-once', 'ack-states', 'ack-times']
    rest.push(
      'reply-ids',
      'reply-folders',
      'question-ids',
      'reply-seq',
      'reply-times',
      'reply-content',
      'reply-ended',
      'reply-routing',
    )
    rest.push('no-stale-claim')
    if (!file.state.readable) return unreadable(file, 'out-file', ['out-tables', ...rest])
    const missing = [
      ...lacking(file, 'processing_ack', ACK_COLUMNS),
      ...lacking(file, 'messages_out', REPLY_COLUMNS),
    ]
    if (missing.length > 0)
      return [
        pass('out-file'),
        fail('out-tables', `missing: ${missing.join(', ')}`),
        ...rest.map((name) => skip(name, 'no table')),
      ]
    return [
      pass('out-file'),
      pass('out-tables'),
      journal(file, 'out-journal', false),
      pages(file, 'out-pages'),
      ...ackFindings(file),
      ...replyFindings(file, host),
      staleClaims(file, heartbeat, nowMs),
    ]
  } finally {
    file.close()
    host.close()
  }
}

function unreadable(file: ExaminedFile, name: CheckName, rest: readonly CheckName[]): Finding[] {
  return [fail(name, file.state.reason ?? ''), ...rest.map((each) => skip(each, 'not readable'))]
}

function lacking(file: ExaminedFile, table: string, names: readonly string[]): string[] {
  const columns = file.columns(table)
  return columns.size === 0
    ? [table]
    : names.filter((name) => !columns.has(name)).map((name) => `${table}.${name}`)
}

function journal(file: ExaminedFile, name: CheckName, strict: boolean): Finding {
  const mode = file.journal()
  const beside = file.sideFiles()
  if (mode !== 'wal' && beside.length === 0) return pass(name)
  if (mode === 'wal' && !strict) return pass(name, 'WAL: one machine')
  return fail(name, mode === 'wal' ? 'it is in WAL mode' : `beside it: ${beside.join(', ')}`)
}

function pages(file: ExaminedFile, name: CheckName): Finding {
  const found = file.pages()
  return found === 'ok' ? pass(name) : fail(name, found)
}

function staleClaims(file: ExaminedFile, heartbeat: string, nowMs: number): Finding {
  const claims = [...file.acks()].filter(({ status }) => status === 'processing')
  if (claims.length === 0) return pass('no-stale-claim', 'no claims')
  const beatAtMs = touchedAtMs(heartbeat)
  const ageMs = nowMs - (beatAtMs ?? Number.NEGATIVE_INFINITY)
  if (ageMs <= DEAD_AFTER_MS) return pass('no-stale-claim', `${claims.length} at work`)
  const beat = beatAtMs === null ? 'there is no heartbeat' : `the heartbeat is ${formatDuration(ageMs)} old`
  return fail('no-stale-claim', `${claims.length} processing (${claimNames(claims)}), and ${beat}`)
}

function claimNames(claims: readonly AckFacts[]): string {
  return `${claims[0]!.id}${claims.length > 1 ? ', …' : ''}`
}
