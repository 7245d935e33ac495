// Checks rows of the two files against the rules of docs/protocol.md. No value of a row is trusted.
import { isQuestionId } from '../protocol/reply-id.ts'
import { parseTime } from '../protocol/time.ts'
import type { ExaminedFile, MessageFacts, ReplyFacts } from '../store/sqlite/examine.ts'
import type { Finding } from './checks.ts'
import { Tally } from './tally.ts'

const STATUSES = ['pending', 'paused', 'completed', 'failed']
/** The limit of every file system in use. */
const NAME_BYTES_MAX = 255
const ACK_STATES = ['processing', 'completed', 'failed']

export function messageFindings(file: ExaminedFile): Finding[] {
  const tallies = {
    ids: new Tally('in-ids'),
    seq: new Tally('in-seq'),
    status: new Tally('in-status'),
    times: new Tally('in-times'),
    content: new Tally('in-content'),
  }
  for (const row of file.messages()) {
    const name = named(row.id)
    tallies.ids.add(row.id === null ? name : undefined)
    tallies.seq.add(wrongSeq(row, 0))
    tallies.status.add(STATUSES.includes(row.status) ? undefined : `${name} is ${JSON.stringify(row.status)}`)
    tallies.times.add(wrongMessageTime(row))
    tallies.content.add(row.isJson ? undefined : name)
  }
  for (const id of file.twice('messages_in', 'id')) tallies.ids.breaks(`${JSON.stringify(id)} twice`)
  if (file.columns('messages_in').has('seq'))
    for (const seq of file.twice('messages_in', 'seq')) tallies.seq.breaks(`${seq} twice`)
  return Object.values(tallies).map((tally) => tally.finding())
}

export function ackFindings(file: ExaminedFile): Finding[] {
  const tallies = {
    once: new Tally('ack-once'),
    states: new Tally('ack-states'),
    times: new Tally('ack-times'),
  }
  for (const { id, status, changedAt } of file.acks()) {
    tallies.once.add(undefined)
    tallies.states.add(ACK_STATES.includes(status) ? undefined : `${id} is ${JSON.stringify(status)}`)
    tallies.times.add(parseTime(changedAt) === undefined ? `${id}: ${JSON.stringify(changedAt)}` : undefined)
  }
  for (const id of file.twice('processing_ack', 'message_id')) tallies.once.breaks(`${id} has several`)
  return Object.values(tallies).map((tally) => tally.finding())
}

export function replyFindings(file: ExaminedFile, host: ExaminedFile): Finding[] {
  const tallies = {
    ids: new Tally('reply-ids'),
    folders: new Tally('reply-folders'),
    questions: new Tally('question-ids'),
    seq: new Tally('reply-seq'),
    times: new Tally('reply-times'),
    content: new Tally('reply-content'),
    ended: new Tally('reply-ended'),
    routing: new Tally('reply-routing'),
  }
  const homeless: ReplyFacts[] = []
  const highest = file.highestReplySeq()
  for (const row of file.replies()) {
    const name = named(row.id)
    tallies.ids.add(row.id === null ? name : undefined)
    tallies.folders.add(row.id === null || isFolderName(row.id) ? undefined : name)
    tallies.questions.add(
      row.questionId === undefined || isQuestionId(row.questionId)
        ? undefined
        : `${name}: ${JSON.stringify(row.questionId)}`,
    )
    tallies.seq.add(wrongSeq(row, 1))
    tallies.times.add(wrongReplyTime(row))
    tallies.content.add(row.isJson ? undefined : name)
    if (row.inReplyTo === null) continue
    // The reply with the highest number stays when its message has been forgotten: the next one is numbered
    // above it.
    const isKept = row.ack === null && row.seq !== null && row.seq === highest
    tallies.ended.add(
      row.ack === 'completed' || row.hasWaited || isKept
        ? undefined
        : `${name}: ${JSON.stringify(row.inReplyTo)} ${row.ack ?? 'has no ack'}`,
    )
    // Replies for the host itself have no address.
    if (row.kind !== 'system') tallies.routing.add(undefined)
    if (row.kind !== 'system' && !row.hasAddress) homeless.push(row)
  }
  for (const id of file.twice('messages_out', 'id')) tallies.ids.breaks(`${JSON.stringify(id)} twice`)
  for (const seq of file.twice('messages_out', 'seq')) tallies.seq.breaks(`${seq} twice`)
  const addressed = host.addressed(homeless.map(({ inReplyTo }) => inReplyTo!))
  for (const { id, inReplyTo } of homeless) if (addressed.has(inReplyTo!)) tallies.routing.breaks(named(id))
  return Object.values(tallies).map((tally) => tally.finding())
}

function isFolderName(id: string): boolean {
  return (
    !/[/\\\0]/.test(id) && id !== '.' && id !== '..' && id !== '' && Buffer.byteLength(id) <= NAME_BYTES_MAX
  )
}

function wrongSeq(
  { id, seq, seqType }: Pick<MessageFacts, 'id' | 'seq' | 'seqType'>,
  parity: 0 | 1,
): string | undefined {
  // A message without a number is legal, and waits behind those that have one.
  if (seqType === 'null' && parity === 0) return undefined
  const right = seqType === 'integer' && Number.isSafeInteger(seq) && Math.abs(seq! % 2) === parity
  return right ? undefined : `${named(id)} has ${seq ?? (seqType === 'null' ? 'none' : seqType)}`
}

function wrongMessageTime({ id, timestamp, processAfter }: MessageFacts): string | undefined {
  if (processAfter && parseTime(processAfter) === undefined)
    return `${named(id)} process_after ${JSON.stringify(processAfter)}`
  return parseTime(timestamp) === undefined
    ? `${named(id)} timestamp ${JSON.stringify(timestamp)}`
    : undefined
}

function wrongReplyTime({ id, timestamp, deliverAfter }: ReplyFacts): string | undefined {
  if (parseTime(timestamp) === undefined) return `${named(id)} timestamp ${JSON.stringify(timestamp)}`
  const sqliteForm = deliverAfter === null || /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$/.test(deliverAfter)
  return sqliteForm ? undefined : `${named(id)} deliver_after ${JSON.stringify(deliverAfter)}`
}

function named(id: string | null): string {
  return id ?? 'a row without an id that is text'
}
