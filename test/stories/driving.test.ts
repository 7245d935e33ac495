// Our host library drives a runner of the kind that this project replaces, of its first and of its newest
// revision: the way into it, and the other direction of zones.test.ts.
import { join } from 'node:path'
import { type DeliverOptions, type Host, type Outgoing, openHost } from 'nanoclaw-functions/host'
import { describe, expect, it, onTestFinished } from 'vitest'
import { insertMessage, seedInbound, tempDir } from '../support/files.ts'
import { until } from '../support/runtime.ts'
import { UpstreamRunner } from './hosts/runner.ts'

const CHAT = { channelType: 'slack', platformId: 'C1', threadId: 't' }

interface Pair {
  readonly host: Host
  readonly runner: UpstreamRunner
  readonly sent: Outgoing[]
  /** Texts that the adapter got. */
  texts(): string[]
}

function pair(shape: 'seed' | 'head', options: DeliverOptions = {}, dir = tempDir()): Pair {
  const host = openHost(dir)
  host.addresses.setOwn(CHAT)
  const sent: Outgoing[] = []
  const delivery = host.deliver((reply) => void sent.push(reply), { pollMs: 5, ...options })
  const runner = new UpstreamRunner(dir, shape)
  onTestFinished(async () => {
    await delivery.stop()
    host.close()
    runner.close()
  })
  return { host, runner, sent, texts: () => sent.map(({ content }) => content.text) }
}

const chat = (text: string, more = {}) => ({ kind: 'chat', content: { text }, ...CHAT, ...more })
const ids = (taken: readonly { readonly id: string }[]) => taken.map(({ id }) => id)

describe.each(['seed', 'head'] as const)('a runner of the %s revision', (shape) => {
  it('takes due messages in order, in all forms of time; its answers are delivered, its acks copied', async () => {
    const { host, runner, sent, texts } = pair(shape)
    host.enqueue(chat('one', { id: 'one' }))
    host.enqueue(chat('two', { id: 'two', processAfter: new Date(Date.now() - 1_500) }))
    host.enqueue(chat('three', { id: 'three', processAfter: '2020-01-01T02:00:00+02:00' }))
    host.enqueue(chat('later', { id: 'later', processAfter: '1h' }))

    expect(ids(runner.turn())).toEqual(['one', 'two', 'three'])
    expect(runner.turn()).toEqual([])
    await until(() => sent.length === 1)
    expect(texts()).toEqual(['one, two, three'])
    expect(sent[0]).toMatchObject(CHAT)
    expect(host.sync()).toMatchObject({ readable: true, completed: 3, failed: 0, pending: 1 })
    expect(host.status('one')).toMatchObject({ state: 'completed' })
  })

  it('that dies with a claim is followed by one that takes the message again', async () => {
    const dir = tempDir()
    const { host, runner, texts } = pair(shape, {}, dir)
    host.enqueue(chat('hello', { id: 'm' }))
    runner.turn({ onlyClaim: true })
    expect(host.status('m')).toMatchObject({ state: 'processing' })
    expect(host.sync()).toMatchObject({ pending: 1 })

    const next = new UpstreamRunner(dir, shape)
    onTestFinished(() => next.close())
    expect(ids(next.turn())).toEqual(['m'])
    await until(() => texts().length === 1)
    expect(host.sync()).toMatchObject({ completed: 1, pending: 0 })
  })

  it('schedules a task, which it then gets, pauses and cancels', async () => {
    const { host, runner } = pair(shape)
    const processAfter = '2020-01-01 00:00:00'
    const task = { taskId: 'water', prompt: 'water the plants', processAfter, recurrence: '0 9 * * *' }
    // The first revision says no address there; its own is taken then.
    runner.write('system', { action: 'schedule_task', ...task })
    await until(() => host.tasks.list().length === 1)
    expect(runner.turn()).toMatchObject([{ id: 'water', kind: 'task', content: { prompt: task.prompt } }])
    expect(host.sync()).toMatchObject({ completed: 1, recurred: 1 })
    runner.write('system', { action: 'pause_task', taskId: 'water' })
    await until(() => host.tasks.list()[0]?.state === 'paused')
    runner.write('system', { action: 'cancel_task', taskId: 'water' })
    await until(() => host.tasks.list().length === 0)
  })
})

describe('a runner of the newest revision', () => {
  it('gets its thirty messages ten at a time, because the host copies the acks in between [W1]', () => {
    const { host, runner } = pair('head')
    host.enqueueMany(Array.from({ length: 30 }, (_, n) => chat(`${n}`, { id: `m-${n}` })))
    const taken: number[] = []
    for (let turn = 0; turn < 3; turn++) {
      taken.push(runner.turn().length, runner.turn().length)
      host.sync()
    }
    expect(taken).toEqual([10, 0, 10, 0, 10, 0])
    expect(host.sync()).toMatchObject({ pending: 0 })
  })

  it('reads context with the next message for it, and a restart note at its start only', () => {
    const dir = tempDir()
    const { host, runner } = pair('head', {}, dir)
    host.enqueue(chat('context', { id: 'context', trigger: false }))
    expect(runner.turn()).toEqual([])
    host.enqueue(chat('go on', { id: 'note', onWake: true }))
    host.enqueue(chat('hello', { id: 'hello' }))
    expect(ids(runner.turn())).toEqual(['context', 'hello'])

    const restarted = new UpstreamRunner(dir, 'head')
    onTestFinished(() => restarted.close())
    expect(ids(restarted.turn())).toEqual(['note'])
  })

  it('asks a question and gets the answer; asks for a command and gets its result', async () => {
    const lists = {
      cli_request: ({ requestId, command }: { requestId?: string; command?: string }, { host }: any) =>
        host.enqueue({
          id: `cli-resp-${requestId}`,
          kind: 'system',
          trigger: false,
          content: { type: 'cli_response', requestId, frame: { id: requestId, ok: true, data: command } },
        }),
    }
    const { host, runner, sent } = pair('head', { actions: lists })
    const questionId = runner.ask('Sure?', ['yes', 'no'])
    await until(() => sent.length === 1)
    expect(runner.waitedFor('questionId', questionId)).toBeUndefined()
    host.answer(questionId, 'yes', { userId: 'u' })
    expect(runner.waitedFor('questionId', questionId)).toMatchObject({ selectedOption: 'yes', userId: 'u' })

    runner.write('system', { action: 'cli_request', requestId: 'r-1', command: 'groups list', args: {} })
    let answer: any
    await until(() => (answer = runner.waitedFor('requestId', 'r-1')) !== undefined)
    expect(answer.frame).toEqual({ id: 'r-1', ok: true, data: 'groups list' })
    expect(host.sync()).toMatchObject({ completed: 2, pending: 0 })
  })

  it('writes to the named destinations, and to its own conversation otherwise', async () => {
    const { host, runner, sent } = pair('head')
    const ann = { name: 'ann', type: 'channel', channelType: 'telegram', platformId: 'ann-1' } as const
    host.addresses.setDestinations([
      { ...ann, name: 'bob' },
      { name: 'other', type: 'agent', agentGroupId: 'g' },
    ])
    host.addresses.setDestinations([ann])
    expect([runner.writeTo('ann', 'to ann'), runner.writeTo('bob', 'to bob')]).toEqual([true, false])
    runner.write('chat', { text: 'home' })
    await until(() => sent.length === 2)
    const where = sent.map(({ content, channelType, platformId }) => [content.text, channelType, platformId])
    expect(where.sort()).toEqual([
      ['home', 'slack', 'C1'],
      ['to ann', 'telegram', 'ann-1'],
    ])
  })

  it('starts on a file of the first shape, which our host has upgraded, and takes its messages [W43]', () => {
    const dir = tempDir()
    const old = seedInbound(join(dir, 'inbound.db'))
    insertMessage(old, { id: 'old', content: { text: 'old' } })
    old.close()
    const { runner } = pair('head', {}, dir)
    expect(ids(runner.turn())).toEqual(['old'])
  })
})

it.each([
  [[{ name: '', type: 'channel' }], /destinations\[0\]\.name is ""; expected non-empty text/],
  [[{ name: 'a', type: 'person' }], /destinations\[0\]\.type is "person"; expected 'channel' or 'agent'/],
  [
    [{ name: 'a', type: 'agent', agentGroupId: 7 }],
    /destinations\[0\]\.agentGroupId is 7; expected non-empty text/,
  ],
  [
    [
      { name: 'a', type: 'agent' },
      { name: 'a', type: 'channel' },
    ],
    /destinations is "a, a"; expected each name once/,
  ],
])('destinations %j are rejected, and the earlier ones stay', (destinations, text) => {
  const { host, runner } = pair('head')
  host.addresses.setDestinations([{ name: 'here', type: 'channel' }])
  expect(() => host.addresses.setDestinations(destinations as never)).toThrow(
    expect.objectContaining({ code: 'bad_message', message: expect.stringMatching(text) }),
  )
  expect(runner.writeTo('here', 'still')).toBe(true)
})
