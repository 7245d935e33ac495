// What comes through the chat bridge of the newest host of the replaced runner, and from other agents:
// questions and their answers, files, notifications of the host, context without a function. Its decisions
// about this runtime are in driven.test.ts.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDb } from '../support/files.ts'
import { project, until } from '../support/runtime.ts'
import { HANDLER, RuntimeContainer } from './hosts/container.ts'
import { HeadHost } from './hosts/head.ts'

const CHAT = { channel_type: 'slack', platform_id: 'C1', thread_id: 't' }
const OWN = { channel_type: 'agent', platform_id: 'ag-own', thread_id: null }
const OPTIONS = [{ label: 'Yes', selectedLabel: 'Yes!', value: 'yes' }]

const ends: (() => unknown)[] = []
afterAll(async () => {
  for (const end of ends.reverse()) await end()
})

describe('through the newest host', () => {
  let host: HeadHost

  beforeAll(async () => {
    const sources = {
      'all.js': HANDLER,
      'listens.js': `export default { on: { kind: 'listened', trigger: false }, handler: () => 'overheard' }`,
    }
    const root = project([], sources, (end) => void ends.push(end))
    const dir = join(root, 'session')
    process.env.NANOCLAW_WORKSPACE = dir
    // The tests of other files run in this process, too.
    ends.push(() => delete process.env.NANOCLAW_WORKSPACE)
    const change = { drainMs: 100, abortGraceMs: 100, env: ['NANOCLAW_WORKSPACE'] }
    host = new HeadHost(dir, new RuntimeContainer(root, dir, change), CHAT)
    ends.push(() => host.container.stop())
    await host.wake()
  })

  it('a question is answered by a click on its button, whatever the id of the message that led to it [144]', async () => {
    host.insert({ id: 'spaces/A:1', kind: 'chat', content: { do: 'ask', options: OPTIONS }, ...CHAT })
    await until(() => {
      host.deliver()
      return host.asked.length === 1
    })
    host.click(host.asked[0]!, 'yes')
    await until(() => texts().includes('answered yes'))
  })

  it.each(['a:1', 'x'.repeat(36), '', 7])(
    'a question with the id %j fails at once, and the error names the limit [144]',
    async (questionId) => {
      const id = `bad-${JSON.stringify(questionId)}`
      host.insert({ id, kind: 'chat', content: { do: 'ask', options: OPTIONS, questionId }, ...CHAT })
      await until(() => ack(id) === 'failed')
      expect(run(id)).toMatchObject({
        outcome: 'bad-reply',
        reason: 'bad_question_id',
        error: expect.stringMatching(/35 bytes without a colon/),
      })
    },
  )

  it('a notification of the host to the agent itself runs, and gets no answer that would come back [145]', async () => {
    const note = { text: 'go on', sender: 'system', senderId: 'system' }
    host.insert({ id: 'note', kind: 'chat', content: note, ...OWN })
    await until(() => ack('note') === 'completed')
    expect(
      outbound((db) =>
        db
          .prepare(`select content, channel_type, platform_id from messages_out where in_reply_to = 'note'`)
          .get(),
      ),
    ).toEqual({
      content: '{"text":"said go on"}',
      channel_type: null,
      platform_id: null,
    })
  })

  it('two agents that answer every message stop after twenty answers in a row, and the last message has the reason [146]', async () => {
    let content: unknown = { text: 'hi' }
    let hops = 0
    for (;;) {
      const id = `a2a-${hops}`
      host.insert({ id, kind: 'chat', content, channel_type: 'agent', platform_id: 'ag-other' })
      await until(() => ack(id) !== undefined && ack(id) !== 'processing')
      if (ack(id) === 'failed') break
      // What the host does with it: the content goes to the other agent as it is, and its answer comes back
      // likewise.
      content = outbound((db) =>
        JSON.parse(
          db.prepare('select content from messages_out where in_reply_to = ?').pluck().get(id) as string,
        ),
      )
      hops++
      expect(hops).toBeLessThan(100)
    }
    expect(hops).toBe(20)
    expect(run('a2a-20')).toMatchObject({
      reason: 'agent_chain_too_long',
      error: expect.stringMatching(/20 answers in a row/),
    })
  })

  it('context of the policy "accumulate" is never run alone: it ends as completed without a run or a reply [148]', async () => {
    const context = { kind: 'chat', content: { text: 'not for the bot' }, trigger: 0 as const, ...CHAT }
    host.insert({ ...context, id: 'context' })
    host.insert({ ...context, id: 'context-later', process_after: new Date(Date.now() + 200).toISOString() })
    host.insert({ ...context, id: 'context-nobody', kind: 'strange' })
    host.insert({ ...context, id: 'context-heard', kind: 'listened' })
    host.insert({ id: 'woken', kind: 'chat', content: { text: 'for the bot' }, ...CHAT })
    const ids = ['context', 'context-later', 'context-nobody', 'context-heard', 'woken']
    await until(() => ids.every((id) => ack(id) === 'completed'))
    const answered = outbound((db) =>
      db
        .prepare('select in_reply_to from messages_out where in_reply_to in (select value from json_each(?))')
        .pluck()
        .all(JSON.stringify(ids)),
    )
    expect(answered.sort()).toEqual(['context-heard', 'woken'])
    expect(ids.map((id) => run(id) === undefined)).toEqual([true, true, true, false, false])
  })

  it('an answer of a newer host with trigger 0 runs; each click is a message [148]', async () => {
    host.insert({ id: 'asks', kind: 'chat', content: { do: 'ask', options: OPTIONS }, ...CHAT })
    await until(() => {
      host.deliver()
      return host.asked.length === 1
    })
    const before = texts().length
    host.click(host.asked[0]!, 'yes', true)
    host.aheadMs = 1
    host.click(host.asked[0]!, 'yes', true)
    host.aheadMs = 0
    await until(() => texts().length === before + 2)
    expect(texts().slice(before)).toEqual(['answered yes', 'answered yes'])
  })

  it('a file in the reply to a message whose id has slashes is delivered, and its folder is removed [149]', async () => {
    for (const id of ['spaces/AAA/messages/BBB.CCC', '../up', '.hidden', 'x'.repeat(300)])
      host.insert({ id, kind: 'chat', content: { do: 'file' }, ...CHAT })
    await until(() => {
      host.deliver()
      return Object.keys(host.files).length === 4
    })
    expect(Object.values(host.files)).toEqual([['a.txt'], ['a.txt'], ['a.txt'], ['a.txt']])
    expect(readdirSync(join(host.dir, 'outbox'))).toEqual([])
    expect(existsSync(join(host.dir, 'up:0'))).toBe(false)
  })

  const texts = () => {
    host.deliver()
    return host.sent.map(({ content }) => JSON.parse(content).text)
  }
  function outbound<T>(read: (db: ReturnType<typeof openDb>) => T): T {
    const db = openDb(join(host.dir, 'outbound.db'), { readonly: true }, () => {})
    try {
      return read(db)
    } finally {
      db.close()
    }
  }
  const ack = (id: string) =>
    outbound((db) => db.prepare('select status from processing_ack where message_id = ?').pluck().get(id))
  const run = (id: string) =>
    outbound((db) =>
      db
        .prepare('select outcome, reason, error from nanoclaw_run where message_id = ? order by run desc')
        .get(id),
    )
})

it('messages of chat channels (kind chat-sdk) go to the function chat [150]', async () => {
  const sources = {
    'chat.js': `export default ({ content }) => content.author.fullName + ' said: ' + content.text`,
  }
  const root = project([], sources, (end) => void ends.push(end))
  const dir = join(root, 'session')
  const host = new HeadHost(dir, new RuntimeContainer(root, dir), CHAT)
  ends.push(() => host.container.stop())
  await host.wake()
  const author = { userId: 'U1', userName: 'ann', fullName: 'Ann', isBot: false, isMe: false }
  const content = {
    _type: 'chat:Message',
    id: '1',
    threadId: 'slack:C1:1',
    text: 'hello',
    author,
    attachments: [],
  }
  host.insert({ id: 'sdk', kind: 'chat-sdk', content, ...CHAT })
  await until(() => {
    host.deliver()
    return host.sent.length === 1
  })
  expect(host.sent[0]).toMatchObject({ kind: 'chat', content: '{"text":"Ann said: hello"}', ...CHAT })
})
