// Replies of kind `system`: actions are executed, and unknown ones are reported.
import { type Action, type DeliveryEvent, NonRetryableError } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test, vi } from 'vitest'
import { insertRow } from '../support/files.ts'
import { type HostFixture, hostFixture } from '../support/host.ts'

/** Writes the requests as a runtime does, and waits until each was executed or given up. */
async function carryOut(
  { host, outbound }: HostFixture,
  contents: readonly unknown[],
  actions: Readonly<Record<string, Action>> = {},
): Promise<DeliveryEvent[]> {
  contents.forEach((content, n) => {
    insertRow(outbound, 'messages_out', {
      id: `sys-${n}`,
      seq: 2 * n + 1,
      timestamp: '2026-11-24 06:02:20',
      kind: 'system',
      platform_id: 'p',
      channel_type: 'c',
      thread_id: 't',
      content: typeof content === 'string' ? content : JSON.stringify(content),
    })
  })
  const events: DeliveryEvent[] = []
  const adapter = () => {
    throw new Error('a system reply went to the adapter')
  }
  const delivery = host.deliver(adapter, { pollMs: 5, actions, onEvent: (event) => events.push(event) })
  onTestFinished(() => delivery.stop())
  await vi.waitFor(() => expect(events).toHaveLength(contents.length), { timeout: 60_000, interval: 5 })
  await delivery.stop()
  return events
}

const rows = ({ inbound }: HostFixture) => inbound.prepare('select * from messages_in order by rowid').all()

const task = {
  action: 'schedule_task',
  taskId: 'task-1',
  prompt: 'water the plants',
  processAfter: '2026-11-25T09:00:00Z',
}

test('schedule_task makes a task, once, with its own address or that of the reply [W35]', async () => {
  const fixture = hostFixture()
  const full = {
    ...task,
    taskId: 'task-2',
    script: 'echo',
    recurrence: '0 9 * * *',
    platformId: 'p2',
    channelType: 'c2',
    threadId: null,
  }
  const events = await carryOut(fixture, [task, full, task])

  expect(events.map(({ type }) => type)).toEqual(['delivered', 'delivered', 'delivered'])
  expect(rows(fixture)).toMatchObject([
    {
      id: 'task-1',
      kind: 'task',
      series_id: 'task-1',
      status: 'pending',
      process_after: '2026-11-25 09:00:00.000',
      recurrence: null,
      content: '{"prompt":"water the plants","script":null}',
      platform_id: 'p',
      channel_type: 'c',
      thread_id: 't',
    },
    {
      id: 'task-2',
      recurrence: '0 9 * * *',
      content: '{"prompt":"water the plants","script":"echo"}',
      platform_id: 'p2',
      channel_type: 'c2',
      thread_id: null,
    },
  ])
})

test('tasks are paused, resumed, changed and cancelled in the order of the requests', async () => {
  const fixture = hostFixture()
  const events = await carryOut(fixture, [
    { ...task, recurrence: '0 9 * * *', script: 'echo' },
    { action: 'pause_task', taskId: 'task-1' },
    { action: 'resume_task', taskId: 'task-1' },
    { action: 'update_task', taskId: 'task-1', prompt: 'feed the cat', script: null, recurrence: null },
    { ...task, taskId: 'task-2' },
    { action: 'cancel_task', taskId: 'task-2' },
    { ...task, taskId: 'task-3' },
    { action: 'pause_task', taskId: 'task-3' },
  ])

  expect(events.every(({ type }) => type === 'delivered')).toBe(true)
  expect(rows(fixture)).toMatchObject([
    {
      id: 'task-1',
      status: 'pending',
      recurrence: null,
      content: '{"prompt":"feed the cat","script":null}',
      process_after: '2026-11-25 09:00:00.000',
    },
    { id: 'task-2', status: 'completed' },
    { id: 'task-3', status: 'paused' },
  ])
})

test('a request that fails is given up with its reason, and the next request is executed', async () => {
  const fixture = hostFixture()
  const events = await carryOut(fixture, [
    { action: 'launch_missiles' },
    { action: 'constructor' },
    'not json',
    { action: 'cancel_task' },
    { action: 'update_task', taskId: 'nobody', prompt: 'x' },
    { ...task, processAfter: 'tomorrow' },
    { ...task, recurrence: 'every monday' },
    task,
  ])

  const reasons = events.map((event) => ('error' in event ? event.error : event.type))
  expect(reasons).toEqual([
    expect.stringMatching(/there is no action "launch_missiles"; this host knows schedule_task, cancel_task/),
    expect.stringMatching(/there is no action "constructor"/),
    expect.stringMatching(/there is no action undefined/),
    expect.stringMatching(/taskId is undefined; expected text/),
    expect.stringMatching(/there is no task "nobody"/),
    expect.stringMatching(/processAfter is "tomorrow"/),
    expect.stringMatching(/recurrence: "every monday" is not a cron expression/),
    'delivered',
  ])
  expect(events.filter(({ type }) => type === 'dead')).toHaveLength(7)
  expect(fixture.host.deadLetters()).toHaveLength(7)
})

test('a host adds actions of its own, with the request, the host and a key to do it once', async () => {
  const fixture = hostFixture()
  const events = await carryOut(
    fixture,
    [{ action: 'cli_request', requestId: 'r-1' }, { action: 'forbidden' }],
    {
      cli_request: ({ requestId }, { host, reply, idempotencyKey }) => {
        host.enqueue({
          id: `cli-resp-${requestId}`,
          kind: 'system',
          content: { to: reply.id, idempotencyKey },
          trigger: false,
        })
      },
      forbidden: () => {
        throw new NonRetryableError('not for you')
      },
    },
  )

  expect(events).toMatchObject([
    { type: 'delivered' },
    { type: 'dead', error: 'NonRetryableError: not for you' },
  ])
  expect(rows(fixture)).toMatchObject([
    { id: 'cli-resp-r-1', trigger: 0, content: expect.stringMatching(/"to":"sys-0".*\/sys-0"/) },
  ])
})
