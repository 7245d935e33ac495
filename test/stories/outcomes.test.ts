// What a handler may do to itself and its process, and the result for its message: the ack, the replies, the
// record.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { nameAndMessage } from '../../runtime/cli/describe.ts'
import { messageLines } from '../../runtime/cli/show.ts'
import { runEndLines } from '../../runtime/cli/view.ts'
import { createLog } from '../../runtime/observe/log.ts'
import { RETRY_AFTER_MAX_MS } from '../../runtime/protocol/outcome.ts'
import { readMessage } from '../../runtime/store/sqlite/inspect-message.ts'
import { sharedBench, until, workbench } from '../support/runtime.ts'

const shared = sharedBench(
  ['echo', 'throw', 'reject-oddly', 'exit', 'die', 'bad-reply', 'forge', 'noisy', 'raw', 'wants'],
  { warmMax: 14 },
  {
    'talk.js':
      'export default { on: { kind: ["chat", "chat-sdk", "task", "system", "webhook"] }, handler: () => "hi" }',
    'several.js': `export default (message, ctx) => {
      ctx.reply('one', { threadId: 'other', kind: 'note', deliverAfter: new Date('2030-01-02T03:04:05.678Z') })
      ctx.reply({ two: 2 }, { channelType: null })
      return 'three'
    }`,
  },
)

describe('a message whose run succeeds', () => {
  it('gets its ack and its reply, with the address of the message [W13]', async () => {
    const bench = shared()
    const id = bench.send('echo', { a: 1 }, { platform_id: 'p', channel_type: 'c', thread_id: 't' })
    await bench.ended(id)
    expect(bench.ack(id)).toBe('completed')
    expect(bench.outbound.prepare('select * from messages_out where in_reply_to = ?').all(id)).toEqual([
      {
        id: `${id}:0`,
        seq: expect.any(Number),
        in_reply_to: id,
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/),
        deliver_after: null,
        recurrence: null,
        kind: 'echo',
        platform_id: 'p',
        channel_type: 'c',
        thread_id: 't',
        content: expect.stringContaining('"echo":{"a":1}'),
      },
    ])
    expect(
      bench.outbound
        .prepare('select status_changed from processing_ack where message_id = ?')
        .pluck()
        .get(id),
    ).toMatch(/^\d{4}-\d\d-\d\dT.*\.\d{3}Z$/)
  })

  it('is answered with kind chat; a reply for the host needs kind system', async () => {
    const bench = shared()
    const ids = ['chat', 'chat-sdk', 'task', 'system', 'webhook'].map((kind) => bench.send(kind))
    await bench.ended(...ids)
    expect(ids.map((id) => bench.replies(id)[0]?.kind)).toEqual(['chat', 'chat', 'chat', 'chat', 'webhook'])
    expect(bench.replies(ids[0]!)[0]?.content).toEqual({ text: 'hi' })
  })

  it('may reply several times, elsewhere, and later; the returned value is the last reply', async () => {
    const bench = shared()
    const id = bench.send('several', {}, { thread_id: 't', channel_type: 'c' })
    await bench.ended(id)
    const rows = bench.outbound
      .prepare(
        'select id, kind, thread_id, channel_type, deliver_after, content from messages_out where in_reply_to = ? order by seq',
      )
      .raw()
      .all(id)
    expect(rows).toEqual([
      [`${id}:0`, 'note', 'other', 'c', '2030-01-02 03:04:05.678', '{"text":"one"}'],
      [`${id}:1`, 'several', 't', null, null, '{"two":2}'],
      [`${id}:2`, 'several', 't', 'c', null, '{"text":"three"}'],
    ])
  })

  it('numbers replies odd and above everything in both files', async () => {
    const bench = shared()
    const first = bench.send('echo', {}, { seq: 1000 })
    const second = bench.send('echo', {}, { seq: 1002 })
    await bench.ended(first, second)
    const seqs = [first, second].flatMap((id) => bench.replies(id).map(({ seq }) => seq))
    expect(seqs.every((seq) => seq % 2 === 1 && seq > 1000)).toBe(true)
    expect(new Set(seqs).size).toBe(2)
  })
})

describe('a handler that fails', () => {
  it('is retried with a delay, and its message fails in the end without a reply [1]', async () => {
    const bench = shared()
    const id = bench.send('throw')
    await bench.ended(id)
    expect(bench.ack(id)).toBe('failed')
    expect(bench.replies(id)).toEqual([])
    expect(bench.runs(id).map(({ attempt, outcome, reason }) => [attempt, outcome, reason])).toEqual([
      [1, 'threw', 'handler_error'],
      [2, 'threw', 'handler_error'],
      [3, 'threw', 'handler_error'],
    ])
    expect(bench.runs(id)[0]?.error).toMatchObject({
      name: 'Error',
      message: 'attempt 1 fails',
      stack: expect.stringContaining('functions/throw.ts:9'),
    })
  })

  it('succeeds at a later attempt with the replies of that attempt alone', async () => {
    const bench = shared()
    const id = bench.send('throw', { succeedAt: 2 })
    await bench.ended(id)
    expect(bench.ack(id)).toBe('completed')
    expect(bench.replies(id).map(({ content }) => content)).toEqual([{ text: 'done at attempt 2' }])
  })

  it('may reject with any value [2]', async () => {
    const bench = shared()
    const ids = [
      bench.send('reject-oddly', { with: 'undefined' }),
      bench.send('reject-oddly', { with: 'string' }),
    ]
    await bench.ended(...ids)
    expect(ids.map((id) => bench.runs(id)[0]?.error.message)).toEqual([
      'thrown value: undefined',
      'just a string',
    ])
  })

  it('decides that there is no retry, or when', async () => {
    const bench = shared()
    const until = Date.now() + 400
    const [never, later] = [bench.send('wants', { never: true }), bench.send('wants', { until })]
    await bench.ended(never, later)
    expect([bench.ack(never), bench.runs(never).length, bench.runs(never)[0]?.reason]).toEqual([
      'failed',
      1,
      'non_retryable',
    ])
    expect(bench.ack(later)).toBe('completed')
    expect(bench.replies(later)[0]?.content.at).toBeGreaterThanOrEqual(until)
  })
})

describe('an error with a cause', () => {
  const bench = sharedBench(
    [],
    {},
    {
      'asks.js': `export default {
        retry: { attempts: 1 },
        async handler({ content }, ctx) {
          try {
            if (content.url) return await fetch(content.url)
            await Promise.any(['first', 'second'].map((name) => Promise.reject(new Error(name + ' refused'))))
          } catch (err) {
            console.error(err)
            ctx.log.error('no answer', { err })
            throw err
          }
        },
      }`,
    },
  )

  it('fetch failed is shown with its cause, in the record, the log, the view, and by show [103]', async () => {
    const { events, config, send, ended, runs } = bench()
    const written: string[] = []
    createLog(events, {
      level: 'info',
      to: { writableLength: 0, write: (text: string) => written.push(text) > 0, on: () => undefined },
    })
    const screen: string[] = []
    const paint = (_style: unknown, text: string) => text
    events.on('runs-ended', (all) => screen.push(...all.flatMap((each) => runEndLines(each, paint))))
    const output: string[] = []
    events.on('output', ({ line }) => output.push(line))

    const address = `127.0.0.1:${await closedPort()}`
    const id = send('asks', { url: `http://${address}/` })
    await ended(id)

    expect(runs(id)[0]?.error).toMatchObject({
      name: 'TypeError',
      message: 'fetch failed',
      cause: { message: `connect ECONNREFUSED ${address}`, code: 'ECONNREFUSED' },
    })
    const text = `TypeError: fetch failed; caused by connect ECONNREFUSED ${address}`
    expect(screen.join('\n')).toContain(text)
    expect(messageLines(readMessage(config.paths, id), NOT_RUNNING, 0, paint).join('\n')).toContain(text)
    const logged = written.map((line) => JSON.parse(line))
    const line = (msg: string) => logged.find((each) => each.msg === msg)
    const failed = { cause: { code: 'ECONNREFUSED' } }
    expect(line('failed')).toMatchObject({ error: failed })
    expect(line('no answer')).toMatchObject({ fields: { err: failed } })
    await until(() => output.some((line) => line.includes(`connect ECONNREFUSED ${address}`)))
  })

  it('the parts of an AggregateError are named [103]', async () => {
    const { send, ended, runs } = bench()
    const id = send('asks')
    await ended(id)
    const { error } = runs(id)[0]!
    expect(error).toMatchObject({ errors: [{ message: 'first refused' }, { message: 'second refused' }] })
    expect(nameAndMessage(error)).toBe(
      'AggregateError: All promises were rejected; with first refused; with second refused',
    )
  })
})

describe('a handler that ends its process', () => {
  it('by exit(0), which is not a success [5]', async () => {
    const bench = shared()
    const id = bench.send('exit', { code: 0 })
    await bench.ended(id)
    expect([bench.ack(id), bench.replies(id).length, bench.runs(id)[0]?.reason]).toEqual([
      'failed',
      0,
      'worker_exit',
    ])
  })

  it('right after a big reply, which is not stored partially [6]', async () => {
    const bench = await workbench(['exit'], { maxReplyBytes: 8_000_000 })
    const id = bench.send('exit', { code: 7, bytes: 3_000_000 })
    await bench.ended(id)
    expect([bench.ack(id), bench.replies(id).length]).toEqual(['failed', 0])
    expect(bench.runs(id)[0]?.error.message).toContain('code 7')
  })

  it.each([
    ['kill', 'killed', 'SIGKILL'],
    ['abort', 'killed', 'SIGABRT'],
    ['memory', 'out-of-memory', 'heap'],
  ])('by %s, and fails when each run ends so [7, 8, 10, 30]', async (how, outcome, word) => {
    const bench = shared()
    const id = bench.send('die', { how })
    const other = bench.send('echo')
    await bench.ended(id, other)
    const runs = bench.runs(id)
    expect(runs.map((run) => run.outcome)).toEqual([outcome, outcome, outcome])
    expect(runs.at(-1)?.reason).toBe('crash_limit')
    expect(JSON.stringify(runs[0]?.error)).toContain(word)
    expect(bench.ack(other)).toBe('completed')
  })

  it('by closing the channel to its parent, which counts as its end [25]', async () => {
    const bench = shared()
    const id = bench.send('die', { how: 'disconnect' })
    await bench.ended(id)
    expect(bench.ack(id)).toBe('failed')
  })
})

describe('a reply that cannot be stored', () => {
  it.each(['bigint', 'function', 'nested', 'symbol', 'cycle', 'getter', 'toJSON'])(
    '%s fails at once, with the reason [15, 16]',
    async (value) => {
      const bench = shared()
      const id = bench.send('bad-reply', { value })
      await bench.ended(id)
      expect([bench.ack(id), bench.runs(id).length, bench.runs(id)[0]?.reason]).toEqual([
        'failed',
        1,
        'unserialisable_reply',
      ])
    },
  )

  it.each([
    ['lossy', 'reply.items[1].price is NaN'],
    ['set', 'reply.tags is a Set; use [...it]'],
    ['date', 'reply.at is an invalid Date'],
    ['response', 'reply is a Response; use await it.text()'],
    ['generator', 'reply is an AsyncGenerator; its body has not run'],
    ['promise', 'reply.user is a Promise; await it'],
  ])(
    '%s, which JSON would store as {} or null, fails at once and the path is named [101]',
    async (value, text) => {
      const bench = shared()
      const id = bench.send('bad-reply', { value })
      await bench.ended(id)
      expect([bench.ack(id), bench.replies(id)]).toEqual(['failed', []])
      expect(bench.runs(id)).toMatchObject([
        { reason: 'unserialisable_reply', error: { message: expect.stringContaining(text) } },
      ])
    },
  )

  it('a field that is undefined is left out, as JSON.stringify does', async () => {
    const bench = shared()
    const id = bench.send('bad-reply', { value: 'partial' })
    await bench.ended(id)
    expect(bench.replies(id).map(({ content }) => content)).toEqual([{ text: 'x' }])
  })

  it('more than maxReplyBytes fails at once [14]', async () => {
    const bench = shared()
    const id = bench.send('bad-reply', { value: 'huge' })
    await bench.ended(id)
    expect(bench.runs(id)[0]).toMatchObject({
      reason: 'reply_too_large',
      error: { message: expect.stringContaining('maxReplyBytes is 1048576') },
    })
  })

  it('data with the name of a prototype stays data [17]', async () => {
    const bench = shared()
    const id = bench.send('echo', '{"__proto__":{"polluted":true}}')
    await bench.ended(id)
    const stored = bench.outbound
      .prepare('select content from messages_out where in_reply_to = ?')
      .pluck()
      .get(id)
    expect(stored).toContain('"__proto__":{"polluted":true}')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})

describe('the process of any handler sends legal reports', () => {
  const bench = sharedBench(
    [],
    {},
    {
      'wish.js': `import { RetryAfterError } from 'nanoclaw-functions'
        const WISHES = { huge: 1e300, 'not a number': NaN, negative: -5, endless: Infinity, 'no date': new Date(NaN), text: 'soon', object: {} }
        export default {
          key: null,
          retry: { minDelay: 1 },
          handler({ content }, ctx) {
            if (ctx.attempt > 1) return 'done'
            if (content.wish !== 'getter') throw new RetryAfterError('later', WISHES[content.wish])
            throw new Proxy(new RetryAfterError('later', 1), { get(target, name) {
              if (name === 'retryAfter') throw new Error('not for you')
              return target[name]
            }, getPrototypeOf() { throw new Error('not for you') } })
          },
        }`,
      'odd.js': `const ODD = {
          'many replies': (message, ctx) => { for (let n = 0; n <= 10_000; n++) ctx.reply(n) },
          'a changed message': (message) => {
            message.kind = 7
            message.platformId = { an: 'object' }
            delete message.threadId
            return 'x'
          },
          'a changed clock': () => { performance.now = () => 'noon'; return 'x' },
          'a changed date': (message, ctx) =>
            ctx.reply('x', { deliverAfter: Object.assign(new Date(0), { getTime: () => 1e300 }) }),
          'odd log lines': (message, ctx) => {
            ctx.log.info(Object.create(null), 7)
            ctx.log.info(Symbol('s'), { toJSON() { throw new Error('no') } })
            return 'x'
          },
          'another number': (message, ctx) => { ctx.n = 99; return 'x' },
          'the year 10000': (message, ctx) => ctx.reply('x', { deliverAfter: new Date(8.64e15) }),
        }
        export default { key: null, retry: { attempts: 1 }, handler: (message, ctx) => ODD[message.content.odd](message, ctx) }`,
    },
  )

  it.each(['not a number', 'negative', 'endless', 'no date', 'text', 'object', 'getter'])(
    'a RetryAfterError with %s for a delay is retried like other errors [104]',
    async (wish) => {
      const { send, ended, runs } = bench()
      const id = send('wish', { wish })
      await ended(id)
      expect(runs(id).map(({ outcome }) => outcome)).toEqual(['threw', 'replied'])
    },
  )

  it('a RetryAfterError with a huge delay waits for the longest legal delay [104]', async () => {
    const { send, runs, outbound } = bench()
    const id = send('wish', { wish: 'huge' })
    await until(() => runs(id)[0]?.outcome != null)
    expect(runs(id)).toMatchObject([{ outcome: 'threw', error: { name: 'RetryAfterError' } }])
    const sql = 'select next_at - ended_at from nanoclaw_run where message_id = ?'
    expect(outbound.prepare(sql).pluck().get(id)).toBeCloseTo(RETRY_AFTER_MAX_MS, -4)
  })

  it('more replies than a run may have fail at once [105]', async () => {
    const { send, ended, runs, replies } = bench()
    const id = send('odd', { odd: 'many replies' })
    await ended(id)
    const message = expect.stringContaining('A run may reply 10000 times')
    expect(runs(id)).toMatchObject([{ outcome: 'bad-reply', reason: 'too_many_replies', error: { message } }])
    expect(replies(id)).toEqual([])
  })

  it('more text in replies than the limit of one run fails at once [105]', async () => {
    const source = `export default (message, ctx) => { for (;;) ctx.reply('x'.repeat(1_000_000)) }`
    const { send, ended, runs, replies } = await workbench([], { maxMemoryMb: 512 }, { 'big.js': source })
    const id = send('big')
    await ended(id)
    const message = expect.stringContaining('67108864 characters together')
    expect(runs(id)).toMatchObject([{ outcome: 'bad-reply', reason: 'reply_too_large', error: { message } }])
    expect(replies(id)).toEqual([])
  })

  it.each(['a changed message', 'a changed clock', 'a changed date', 'odd log lines'])(
    '%s costs nothing [106]',
    async (odd) => {
      const { send, ended, runs, outbound } = bench()
      const id = send('odd', { odd }, { platform_id: 'p', channel_type: 'c', thread_id: 't' })
      await ended(id)
      expect(runs(id)).toMatchObject([{ outcome: 'replied' }])
      const sql = 'select kind, platform_id, channel_type, thread_id from messages_out where in_reply_to = ?'
      expect(outbound.prepare(sql).raw().all(id)).toEqual([['odd', 'p', 'c', 't']])
    },
  )

  it('a handler cannot reply for another message by mistake [106]', async () => {
    const { send, ended, runs } = bench()
    const id = send('odd', { odd: 'another number' })
    await ended(id)
    expect(runs(id)).toMatchObject([{ outcome: 'threw', error: { name: 'TypeError' } }])
  })

  it('a reply for a year with five digits waits for a host that compares times as text [107]', async () => {
    const { send, ended, outbound } = bench()
    const id = send('odd', { odd: 'the year 10000' })
    await ended(id)
    const row = outbound
      .prepare(
        `select deliver_after as at, deliver_after > datetime('now') as held from messages_out where in_reply_to = ?`,
      )
      .get(id)
    expect(row).toEqual({ at: '9999-12-31 23:59:59.999', held: 1 })
  })
})

describe('content that is not JSON', () => {
  it('fails with bad_json, unless the function takes it raw [81]', async () => {
    const bench = shared()
    const [bad, raw, good] = [
      bench.send('echo', 'not json'),
      bench.send('raw', 'not json'),
      bench.send('raw', '{"a":1}'),
    ]
    await bench.ended(bad, raw, good)
    expect([bench.ack(bad), bench.runs(bad)[0]?.reason]).toEqual(['failed', 'bad_json'])
    expect(bench.replies(raw)[0]?.content).toEqual({ raw: 'not json', parsed: 'no' })
    expect(bench.replies(good)[0]?.content).toEqual({ raw: '{"a":1}', parsed: 'yes' })
  })
})

describe('a process that misbehaves between messages', () => {
  it('a late rejection ends the process and charges neither the ended message nor the next one [20]', async () => {
    const bench = await workbench(['late'], { concurrency: 1 })
    const ends: unknown[] = []
    bench.events.on('worker-ended', (end) => ends.push(end))
    const culprit = bench.send('late', { lateMs: 60, takesMs: 0 })
    await bench.ended(culprit)
    const next = bench.send('late', { lateMs: 0, takesMs: 300 })
    await bench.ended(next)
    expect([bench.ack(culprit), bench.ack(next)]).toEqual(['completed', 'completed'])
    expect(bench.runs(next).map(({ attempt }) => attempt)).toEqual([1])
    const why = expect.stringMatching(/^uncaught Error: .*\n\s+at .*functions\/late\.ts:\d+/)
    expect(ends, 'no message is charged, so it is logged by itself').toEqual([
      expect.objectContaining({ unexpected: true, why }),
    ])
  })

  it.each(['other', 'nonsense'])(
    'a forged report (%s) ends the process; the message runs again [19]',
    async (what) => {
      const bench = shared()
      const id = bench.send('forge', { what })
      await bench.ended(id)
      expect(bench.ack(id)).toBe('completed')
      expect(bench.replies(id).map(({ content }) => content)).toEqual([{ text: 'honest now' }])
    },
  )

  it('an invalid report is the recorded reason [170]', async () => {
    const bench = await workbench(['forge'])
    const id = bench.send('forge', { what: 'nonsense' })
    await bench.ended(id)
    expect(bench.runs(id)[0]).toMatchObject({
      outcome: 'threw',
      error: { name: 'InvalidReport', message: 'sent an invalid report: {"type":"give me root"}' },
    })
  })

  it('process.send in a library has no effect, at load and later [171]', async () => {
    const source = `let sent = 0
      if (process.connected) process.send('loading', () => sent++)
      export default async () => {
        process.send?.('ready')
        const answer = process.send({ cmd: 'hello' }, undefined, { swallowErrors: true }, () => sent++)
        await new Promise((resolve) => setImmediate(resolve))
        return { answer, sent }
      }`
    const bench = await workbench([], {}, { 'chatty.js': source })
    const ids = [bench.send('chatty'), bench.send('chatty')]
    await bench.ended(...ids)
    expect(ids.map((id) => bench.runs(id).map(({ outcome }) => outcome))).toEqual([['replied'], ['replied']])
    expect(bench.replies(ids[0]!)[0]?.content).toMatchObject({ answer: true })
  })

  it.each(['fake', 'endless', 'flood'])('output (%s) is bounded and harmless [11, 12, 13]', async (what) => {
    const bench = shared()
    const lines: string[] = []
    bench.events.on('output', ({ line }) => lines.push(line))
    const id = bench.send('noisy', { what })
    await bench.ended(id)
    expect(bench.ack(id)).toBe('completed')
    await until(() => lines.length > 0)
    expect(lines.length).toBeLessThanOrEqual(3_000)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(9_000)
  })

  it('a grandchild that keeps the output open delays nothing and does not outlive the runtime [23]', async () => {
    const bench = await workbench(['grandchild'])
    const id = bench.send('grandchild')
    const startMs = performance.now()
    await bench.ended(id)
    expect(performance.now() - startMs).toBeLessThan(30_000)
    const { grandchild } = bench.replies(id)[0]!.content
    await bench.runtime.stop()
    await until(() => !alive(grandchild))
  })
})

const NOT_RUNNING = { running: false, note: null, heartbeatAtMs: null }

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
