// The package export "./store" on real files, beside a host that does not know it: what each call means, what
// the host makes of it, and what a wrong argument is answered with.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { examineInbound, examineOutbound } from '../../runtime/conformance/folder.ts'
import { filesIn } from '../../runtime/protocol/files.ts'
import { NanoclawError, openSession, type Session, type SessionOptions } from '../../runtime/store/index.ts'
import { HeadHost } from '../stories/hosts/head.ts'
import type { Container } from '../stories/hosts/upstream.ts'
import { compiled } from '../support/compiled.ts'
import { headInbound, insertMessage, insertRow, openDb, seedInbound, tempDir } from '../support/files.ts'
import { loseAnswer } from '../support/unanswered.ts'

const CHAT = { channel_type: 'slack', platform_id: 'C1', thread_id: 't' }
const PLACE = { channelType: 'slack', platformId: 'C1', threadId: 't' }
const MINUTE_MS = 60_000
const CHILD = fileURLToPath(new URL('../support/session-child.ts', import.meta.url))

function open(dir: string, options?: SessionOptions): Session {
  const session = openSession(dir, options)
  onTestFinished(() => session.close())
  return session
}

function withInbound(make = headInbound) {
  const dir = tempDir()
  const db = make(join(dir, 'inbound.db'))
  return { dir, db, session: open(dir) }
}

const ids = (rows: readonly { readonly id: string }[]) => rows.map(({ id }) => id)

function view(dir: string) {
  const db = openDb(join(dir, 'outbound.db'), { readonly: true })
  const rows = (sql: string) => db.prepare(sql).raw().all()
  return {
    acks: () => rows('select message_id, status from processing_ack order by message_id'),
    runs: () => rows('select message_id, run, outcome, reason from nanoclaw_run order by message_id, run'),
    batches: () => rows('select batch from nanoclaw_batch'),
    messages: () => rows('select id, seq, in_reply_to, kind, content from messages_out order by rowid'),
  }
}

/** A host of the newest known revision; what it starts and stops is a session in this process. */
function hostOf(dir: string) {
  let session: Session | undefined
  const container: Container = {
    get running() {
      return session !== undefined
    },
    start: async () => void (session = open(dir)),
    stop: async () => {
      session?.close()
      session = undefined
    },
  }
  return { host: new HeadHost(dir, container, CHAT), session: () => session! }
}

describe('getPendingMessages', () => {
  it('returns what is due, oldest first, and nothing that is scheduled, paused, on_wake or of an unreadable time', () => {
    const { db, session } = withInbound()
    const [past, future] = [-MINUTE_MS, MINUTE_MS].map((ms) => new Date(Date.now() + ms).toISOString())
    insertMessage(db, { id: 'second', seq: 4 })
    insertMessage(db, { id: 'first', seq: 2, process_after: past! })
    insertMessage(db, { id: 'without a number', seq: null })
    insertMessage(db, { id: 'scheduled', process_after: future! })
    insertMessage(db, { id: 'on wake', on_wake: 1 })
    insertMessage(db, { id: 'paused', status: 'paused' })
    insertMessage(db, { id: 'completed', status: 'completed' })
    insertMessage(db, { id: 'no time', process_after: 'tomorrow' })
    insertMessage(db, { id: 'context', trigger: 0 })
    expect(ids(session.getPendingMessages())).toEqual(['first', 'second', 'context', 'without a number'])
  })

  it('returns nothing that has an ack of any status, also of another runner', () => {
    const { db, dir, session } = withInbound()
    for (const id of ['a', 'b', 'c', 'd', 'e']) insertMessage(db, { id })
    session.markProcessing(['a'])
    session.markCompleted(['b'])
    session.markFailed(['c'])
    const runner = openDb(join(dir, 'outbound.db'))
    insertRow(runner, 'processing_ack', { message_id: 'd', status: 'script-skip:error', status_changed: '' })
    expect(ids(session.getPendingMessages())).toEqual(['e'])
  })

  it('returns the row as the file has it, with content as text', () => {
    const { db, session } = withInbound()
    const columns = { id: 'a', kind: 'task', timestamp: '2026-01-01T00:00:00Z', ...CHAT, content: '{"n": 1}' }
    insertMessage(db, {
      ...columns,
      recurrence: '0 9 * * *',
      series_id: 's',
      source_session_id: 'o',
      tries: 2,
    })
    expect(session.getPendingMessages()).toEqual([
      {
        id: 'a',
        seq: 2,
        kind: 'task',
        timestamp: '2026-01-01T00:00:00Z',
        status: 'pending',
        processAfter: null,
        recurrence: '0 9 * * *',
        seriesId: 's',
        tries: 2,
        trigger: true,
        ...PLACE,
        sourceSessionId: 'o',
        onWake: false,
        content: '{"n": 1}',
      },
    ])
    expect(session.getMessageIn('a')).toEqual(session.getPendingMessages()[0])
    expect(session.getMessageIn('none')).toBeUndefined()
  })

  it('reads past any number of messages that have ended, and returns as many as were asked for', () => {
    const { db, session } = withInbound()
    db.transaction(() => {
      for (let n = 0; n < 1_300; n++) insertMessage(db, { id: `m-${String(n).padStart(4, '0')}` })
    })()
    const all = Array.from({ length: 1_300 }, (_, n) => `m-${String(n).padStart(4, '0')}`)
    expect(session.markCompleted(all.slice(0, 1_190))).toHaveLength(1_190)
    expect(ids(session.getPendingMessages())).toEqual(all.slice(1_190, 1_290))
    expect(ids(session.getPendingMessages(1))).toEqual(['m-1190'])
    expect(session.getPendingMessages(10_000)).toHaveLength(110)
  })

  it('reads the file of a host of the first revision', () => {
    const { db, session } = withInbound(seedInbound)
    insertMessage(db, { id: 'a' })
    expect(session.getPendingMessages()).toEqual([expect.objectContaining({ id: 'a', trigger: true })])
  })

  it('says that inbound.db is not there yet, that it is locked, or that it is no database', () => {
    const dir = tempDir()
    const session = open(dir)
    const codeOf = () => expect(() => session.getPendingMessages())
    codeOf().toThrow(expect.objectContaining({ code: 'not_readable_yet' }))
    const db = headInbound(join(dir, 'inbound.db'))
    insertMessage(db, { id: 'a' })
    db.exec('begin exclusive')
    codeOf().toThrow(
      expect.objectContaining({ code: 'not_readable_yet', message: expect.stringMatching(/locked/) }),
    )
    db.exec('commit')
    expect(ids(session.getPendingMessages())).toEqual(['a'])
    const other = tempDir()
    writeFileSync(
      join(other, 'inbound.db'),
      'this is text, and long enough to be taken for a header of a file',
    )
    expect(() => open(other).getPendingMessages()).toThrow(
      expect.objectContaining({ code: 'inbound_unusable' }),
    )
  })
})

describe('marks', () => {
  it('markProcessing claims each message once, whatever list names it', () => {
    const { dir, session } = withInbound()
    expect(session.markProcessing(['a', 'b', 'a'])).toEqual(['a', 'b'])
    expect(session.markProcessing(['b', 'c'])).toEqual(['c'])
    expect(session.markProcessing([])).toEqual([])
    expect(view(dir).acks()).toEqual(['a', 'b', 'c'].map((id) => [id, 'processing']))
  })

  it('markCompleted ends a list and writes the replies with it, once', () => {
    const { dir, db, session } = withInbound()
    for (const id of ['a', 'b']) insertMessage(db, { id })
    session.markProcessing(['a', 'b'])
    const replies = [
      { id: 'one', kind: 'chat', content: '{"text":"to a"}', inReplyTo: 'a', ...PLACE },
      { id: 'two', kind: 'chat', content: '{"text":"to nothing"}' },
    ]
    expect(session.markCompleted(['a', 'b'], replies)).toEqual(['a', 'b'])
    expect(session.markCompleted(['b', 'a'], replies)).toEqual([])
    expect(session.markFailed(['a'])).toEqual([])
    expect([view(dir).acks(), view(dir).messages(), view(dir).batches()]).toEqual([
      [
        ['a', 'completed'],
        ['b', 'completed'],
      ],
      [
        ['one', 5, 'a', 'chat', '{"text":"to a"}'],
        ['two', 7, null, 'chat', '{"text":"to nothing"}'],
      ],
      [],
    ])
  })

  it('a reply is in reply to the one message that is completed, unless it says otherwise', () => {
    const { dir, session } = withInbound()
    session.markProcessing(['a'])
    const reply = { kind: 'chat', content: '{}' }
    session.markCompleted(['a'], [reply, { ...reply, inReplyTo: null }])
    expect(view(dir).messages()).toEqual([
      [expect.any(String), 1, 'a', 'chat', '{}'],
      [expect.any(String), 3, null, 'chat', '{}'],
    ])
  })

  it('markFailed ends a list for a reason', () => {
    const { dir, session } = withInbound()
    session.markProcessing(['a'])
    expect(session.markFailed(['a', 'b'], 'no_such_room')).toEqual(['a', 'b'])
    expect(view(dir).acks()).toEqual([
      ['a', 'failed'],
      ['b', 'failed'],
    ])
    expect(view(dir).runs()).toEqual([
      ['a', 1, 'threw', 'no_such_room'],
      ['b', 1, 'rejected', 'no_such_room'],
    ])
  })

  it('what was never claimed can be ended, but not what has ended', () => {
    const { dir, session } = withInbound()
    const reply = { kind: 'chat', content: '{}' }
    expect(session.markCompleted(['skipped'], [{ ...reply, id: 'r' }])).toEqual(['skipped'])
    expect(session.markCompleted(['skipped'], [{ ...reply, id: 's' }])).toEqual([])
    expect([view(dir).acks(), view(dir).messages().length]).toEqual([[['skipped', 'completed']], 1])
  })

  it('a claim that the host has taken away ends nothing and replies nothing, and can be made again', () => {
    const { host } = hostOf(tempDir())
    const session = open(host.dir)
    host.insert({ id: 'a', kind: 'chat', content: {} })
    session.markProcessing(['a'])
    host.dropClaims()
    expect(session.markCompleted(['a'], [{ kind: 'chat', content: '{}' }])).toEqual([])
    expect([view(host.dir).acks(), view(host.dir).messages()]).toEqual([[], []])
    expect(session.markProcessing(['a'])).toEqual(['a'])
    host.dropClaims()
    expect(ids(session.getPendingMessages())).toEqual(['a'])
    expect(session.markProcessing(['a'])).toEqual(['a'])
    expect(session.markCompleted(['a'], [{ kind: 'chat', content: '{}' }])).toEqual(['a'])
    expect(view(host.dir).runs()).toEqual([
      ['a', 1, 'cancelled', 'claim_lost'],
      ['a', 2, 'cancelled', 'claim_lost'],
      ['a', 3, 'replied', null],
    ])
    expect([view(host.dir).batches(), view(host.dir).messages().length]).toEqual([[], 1])
  })
})

describe('findQuestionResponse', () => {
  it('returns the first answer to this question that has no ack', () => {
    const { db, session } = withInbound()
    insertMessage(db, { id: 'other', content: { questionId: 'q-10' } })
    insertMessage(db, { id: 'said', content: { text: '"questionId":"q-1"' } })
    expect(session.findQuestionResponse('q-1')).toBeUndefined()
    for (const id of ['first click', 'second click'])
      insertMessage(db, {
        id,
        kind: 'system',
        trigger: 0,
        content: { questionId: 'q-1', selectedOption: 'yes' },
      })
    expect(session.findQuestionResponse('q-1')?.id).toBe('first click')
    session.markProcessing(['first click'])
    expect(session.findQuestionResponse('q-1')?.id).toBe('second click')
    session.markCompleted(['second click'])
    expect(session.findQuestionResponse('q-1')).toBeUndefined()
  })
})

describe('writeMessageOut', () => {
  it('writes a row at once, above the numbers of both files, and an id only once', () => {
    const { dir, db, session } = withInbound()
    insertMessage(db, { id: 'a', seq: 10 })
    const row = { id: 'note', kind: 'chat', content: '{"text":"wait"}', inReplyTo: 'a', ...PLACE }
    expect(session.writeMessageOut(row)).toBe(11)
    expect(session.writeMessageOut({ kind: 'chat', content: '{}' })).toBe(13)
    expect(session.writeMessageOut({ ...row, content: '{"text":"again"}' })).toBe(11)
    expect(view(dir).messages()).toEqual([
      ['note', 11, 'a', 'chat', '{"text":"wait"}'],
      [expect.stringMatching(/^msg-[0-9a-f-]{36}$/), 13, null, 'chat', '{}'],
    ])
  })

  it('needs no inbound.db', () => {
    expect(open(tempDir()).writeMessageOut({ kind: 'chat', content: '{}' })).toBe(1)
  })
})

describe('owning a folder', () => {
  it('a second session, or a runtime, is rejected while the first one is open', () => {
    const dir = tempDir()
    const first = open(dir)
    expect(() => openSession(dir)).toThrow(expect.objectContaining({ code: 'locked' }))
    first.close()
    first.close()
    open(dir)
  })

  it('close gives back what is claimed, at once and uncharged', () => {
    const { dir, db, session } = withInbound()
    insertMessage(db, { id: 'a' })
    session.markProcessing(['a'])
    session.close()
    expect([view(dir).acks(), view(dir).runs()]).toEqual([[], [['a', 1, 'cancelled', 'shutdown']]])
    expect(ids(open(dir).getPendingMessages())).toEqual(['a'])
    expect(() => session.getPendingMessages()).toThrow(/the session is closed; open it again/)
    expect(() => session.markProcessing(['a'])).toThrow(expect.objectContaining({ code: 'bad_usage' }))
  })

  it('a call that met a lock on outbound.db has written nothing, and can be made again', () => {
    const { dir, db, session } = withInbound()
    insertMessage(db, { id: 'a' })
    session.markProcessing(['a'])
    const reader = openDb(join(dir, 'outbound.db'))
    reader.exec('begin; select count(*) from processing_ack')
    const reply = { id: 'r', kind: 'chat', content: '{}' }
    expect(() => session.markCompleted(['a'], [reply])).toThrow(
      expect.objectContaining({
        code: 'outbound_unusable',
        message: expect.stringMatching(/outbound\.db.*locked/),
      }),
    )
    expect([view(dir).acks(), view(dir).messages()]).toEqual([[['a', 'processing']], []])
    reader.exec('commit')
    expect(session.markCompleted(['a'], [reply])).toEqual(['a'])
    expect([view(dir).acks(), view(dir).messages().length]).toEqual([[['a', 'completed']], 1])
  })

  it('a call that took effect and reported an error of the disk does the same once when it is made again [183]', () => {
    const { db, dir, session } = withInbound()
    for (const id of ['a', 'b', 'c']) insertMessage(db, { id })
    const fails = (call: () => unknown) => {
      loseAnswer()
      expect(call).toThrow(expect.objectContaining({ code: 'outbound_unusable' }))
    }
    fails(() => session.markProcessing(['a', 'b']))
    expect(view(dir).acks()).toEqual([
      ['a', 'processing'],
      ['b', 'processing'],
    ])
    expect(session.markProcessing(['a', 'b'])).toEqual(['a', 'b'])
    const replies = [{ kind: 'chat', content: '"done"' }]
    fails(() => session.markCompleted(['a', 'b'], replies))
    expect(session.markCompleted(['a', 'b'], replies)).toEqual(['a', 'b'])
    fails(() => session.markProcessing(['c']))
    expect(ids(session.getPendingMessages()), 'a loop that looks first finds it again').toEqual(['c'])
    fails(() => session.writeMessageOut({ id: 'own', kind: 'chat', content: '1' }))
    session.writeMessageOut({ id: 'own', kind: 'chat', content: '1' })
    session.close()
    expect(view(dir).acks()).toEqual([
      ['a', 'completed'],
      ['b', 'completed'],
    ])
    expect(view(dir).runs()).toEqual([
      ['a', 1, 'replied', null],
      ['b', 1, 'replied', null],
    ])
    expect(view(dir).messages()).toHaveLength(2)
    expect(open(dir).interrupted).toBe(0)
  })

  it('a session that lost its folder writes nothing more', () => {
    const { dir, db, session } = withInbound()
    insertMessage(db, { id: 'a' })
    openDb(join(dir, 'outbound.db')).exec('update nanoclaw_runtime set epoch = epoch + 1')
    expect(() => session.markProcessing(['a'])).toThrow(expect.objectContaining({ code: 'fenced' }))
    expect(() => session.writeMessageOut({ kind: 'chat', content: '{}' })).toThrow(NanoclawError)
    expect([view(dir).acks(), view(dir).messages()]).toEqual([[], []])
  })

  it('what a process claimed that died is pending again, and is failed after crashLimit such deaths', async () => {
    const dir = tempDir()
    insertMessage(headInbound(join(dir, 'inbound.db')), { id: 'a' })
    const script = await compiled(CHILD)
    for (const interrupted of [0, 1]) {
      const child = spawnSync(process.execPath, [script, dir, '2'], { encoding: 'utf8' })
      expect([child.signal, JSON.parse(child.stdout)]).toEqual(['SIGKILL', { interrupted, claimed: ['a'] }])
    }
    const session = open(dir, { crashLimit: 2 })
    expect([session.interrupted, session.quarantined]).toEqual([1, ['a']])
    expect([session.getPendingMessages(), view(dir).acks()]).toEqual([[], [['a', 'failed']]])
  })
})

describe('what an unmodified host makes of it', () => {
  it('it is woken, answers, and every message ends and every reply goes out', async () => {
    const { host, session } = hostOf(tempDir())
    for (const id of ['a', 'b']) host.insert({ id, kind: 'chat', content: { text: id }, ...CHAT })
    expect(await host.sweep()).toMatchObject({ woken: true, killed: null, reset: [] })
    const pending = session().getPendingMessages()
    expect(session().markProcessing(ids(pending))).toEqual(['a', 'b'])
    expect(host.claims().map(({ message_id }) => message_id)).toEqual(['a', 'b'])
    session().touchHeartbeat()
    const [, ...rest] = pending
    const answer = JSON.stringify({ text: 'hello' })
    session().markCompleted(['a'], [{ kind: 'chat', content: answer, ...PLACE }])
    session().markFailed(ids(rest), 'no_such_room')
    host.deliver()
    expect(await host.sweep()).toEqual({ woken: false, killed: null, reset: [] })
    expect(host.statuses()).toEqual({ completed: ['a', 'b'] })
    expect(host.sent).toEqual([
      { id: expect.any(String), seq: 5, in_reply_to: 'a', kind: 'chat', ...CHAT, content: answer },
    ])
    host.deliver()
    expect([host.sent.length, session().getPendingMessages()]).toEqual([1, []])
    const paths = filesIn(host.dir)
    const findings = [...examineInbound(paths), ...examineOutbound(paths, Date.now())]
    expect(findings.filter(({ verdict }) => verdict === 'fail')).toEqual([])
  })

  it('a question reaches the platform, and the click on it comes back', async () => {
    const { host, session } = hostOf(tempDir())
    host.insert({ id: 'a', kind: 'chat', content: {}, ...CHAT })
    await host.sweep()
    session().markProcessing(['a'])
    const options = [{ label: 'yes', selectedLabel: 'yes', value: 'yes' }]
    const question = { type: 'ask_question', questionId: 'q-1', title: 'Go?', question: 'Go?', options }
    session().writeMessageOut({
      kind: 'chat-sdk',
      content: JSON.stringify(question),
      inReplyTo: 'a',
      ...PLACE,
    })
    host.deliver()
    expect(host.asked).toEqual(['q-1'])
    expect(session().findQuestionResponse('q-1')).toBeUndefined()
    host.click('q-1', 'yes', true)
    const response = session().findQuestionResponse('q-1')
    expect(JSON.parse(response!.content)).toMatchObject({ selectedOption: 'yes' })
    session().markCompleted([response!.id])
    session().markCompleted(['a'])
    await host.sweep()
    expect(host.statuses()).toEqual({ completed: ['a', response!.id] })
  })

  it.each([
    { touched: true, judged: { killed: null, reset: [] } },
    { touched: false, judged: { killed: 'claim', reset: [] } },
  ])('a claim of 90 seconds, heartbeat touched: $touched', async ({ touched, judged }) => {
    const { host, session } = hostOf(tempDir())
    host.insert({ id: 'a', kind: 'chat', content: {}, ...CHAT })
    await host.sweep()
    expect(existsSync(join(host.dir, '.heartbeat'))).toBe(false)
    session().markProcessing(['a'])
    const beatMs = () => statSync(join(host.dir, '.heartbeat')).mtimeMs
    const claimedMs = Date.parse(host.claims()[0]!.status_changed)
    // The host asks for a heartbeat that is newer than the claim, and both may fall into one millisecond.
    const touch = () => {
      session().touchHeartbeat()
      return beatMs()
    }
    if (touched) await expect.poll(touch).toBeGreaterThan(claimedMs)
    host.aheadMs = 90_000
    expect(await host.sweep()).toEqual({ woken: false, ...judged })
  })
})

describe('a wrong argument is an error that names it, what was found, what is legal and the remedy', () => {
  const reply = { kind: 'chat', content: '{}' }
  const legalReply = /expected an object with id, inReplyTo, kind, content, .*kind and content are required/
  it.each<[string, (session: Session) => unknown, RegExp]>([
    [
      'limit 0',
      (s) => s.getPendingMessages(0),
      /limit is 0; expected a whole number from 1 to 10000; or leave/,
    ],
    ['limit text', (s) => s.getPendingMessages('9' as never), /limit is "9"; expected a whole number/],
    ['no id', (s) => s.getMessageIn(undefined as never), /getMessageIn: id is undefined; expected text/],
    ['no question', (s) => s.findQuestionResponse(''), /questionId is ""; expected text that is not empty/],
    [
      'one id',
      (s) => s.markProcessing('a' as never),
      /ids is "a"; expected an array .*write markProcessing\(\[/,
    ],
    [
      'a message',
      (s) => s.markProcessing([{ id: 'a' }] as never),
      /ids\[0\] is \[object Object\].*take message\.id/,
    ],
    [
      'no ids',
      (s) => s.markCompleted(undefined as never),
      /markCompleted: ids is undefined; expected an array/,
    ],
    ['half a pair', (s) => s.markFailed(['\ud800']), /ids\[0\] is .*half a surrogate pair/],
    [
      'reason',
      (s) => s.markFailed(['a'], 3 as never),
      /reason is 3; expected .*'no_such_room'; or leave it out/,
    ],
    [
      'one reply',
      (s) => s.markCompleted(['a'], reply as never),
      /replies is .*expected an array.*write \[\{ kind/,
    ],
    ['no reply', (s) => s.writeMessageOut(undefined as never), legalReply],
    ['a list', (s) => s.writeMessageOut([reply] as never), legalReply],
    [
      'no kind',
      (s) => s.writeMessageOut({ content: '{}' } as never),
      /reply\.kind is undefined; expected the kind/,
    ],
    [
      'a value',
      (s) => s.markCompleted(['a'], [{ ...reply, content: { text: 'x' } as never }]),
      /replies\[0\]\.content is \[object Object\]; expected JSON text; write JSON\.stringify/,
    ],
    [
      'plain text',
      (s) => s.writeMessageOut({ ...reply, content: 'hi' }),
      /content is "hi"; expected JSON text/,
    ],
    [
      'a column',
      (s) => s.writeMessageOut({ ...reply, platform_id: 'C1' } as never),
      /has no field "platform_id"; expected id, .*; write platformId/,
    ],
    [
      'nonsense',
      (s) => s.writeMessageOut({ ...reply, colour: 1 } as never),
      /no field "colour"; .*leave it out/,
    ],
    [
      'a Date',
      (s) => s.writeMessageOut({ ...reply, deliverAfterMs: new Date(0) as never }),
      /deliverAfterMs is .*1970.*; expected milliseconds since 1970.*write date\.getTime\(\)/,
    ],
  ])('%s', (_what, call, message) => {
    const dir = tempDir()
    const session = open(dir)
    expect(() => call(session)).toThrow(
      expect.objectContaining({ code: 'bad_usage', message: expect.stringMatching(message) }),
    )
    expect([view(dir).acks(), view(dir).messages()]).toEqual([[], []])
  })

  it('openSession names a wrong folder and a wrong crashLimit, and takes nothing over', () => {
    const dir = tempDir()
    expect(() => openSession(undefined as never)).toThrow(
      /folder is undefined; expected the path of a session/,
    )
    expect(() => openSession(dir, { crashLimit: 0 })).toThrow(
      /crashLimit is 0; expected a whole number from 1/,
    )
    expect(existsSync(join(dir, 'outbound.db'))).toBe(false)
    expect(() => openSession(join(dir, 'none'))).toThrow(
      expect.objectContaining({
        code: 'outbound_unusable',
        message: expect.stringMatching(/Make its folder exist/),
      }),
    )
  })
})
