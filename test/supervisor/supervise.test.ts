// supervise: misbehaving runtimes. Each is a real process.
import { existsSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from 'nanoclaw-functions/host'
import { supervise } from 'nanoclaw-functions/supervisor'
import { expect, onTestFinished, test } from 'vitest'
import { insertRow, openDb, tempDir } from '../support/files.ts'
import { leaveHotJournal } from '../support/hot-journal.ts'
import { until } from '../support/runtime.ts'
import { isAlive, script, session, starts, supervised } from '../support/supervise.ts'

const SLEEPS = script('exec sleep 60')

function claim(folder: string, id: string, at = new Date()): void {
  const outbound = openDb(join(folder, 'outbound.db'))
  insertRow(outbound, 'processing_ack', {
    message_id: id,
    status: 'processing',
    status_changed: at.toISOString(),
  })
}

function heartbeat(folder: string, at: Date | number): void {
  writeFileSync(join(folder, '.heartbeat'), '')
  utimesSync(join(folder, '.heartbeat'), at, at)
}

test('no runtime is started without due messages', async () => {
  const { supervisor, path } = supervised({ command: SLEEPS })
  const [empty, context, ended, busy] = [session(0), session(0), session(1), session(1)]
  openHost(context).enqueue({ kind: 'chat', content: {}, trigger: false })
  insertRow(openDb(join(ended, 'outbound.db')), 'processing_ack', {
    message_id: 'm-0',
    status: 'failed',
    status_changed: '2026-11-24T06:02:20.000Z',
  })
  for (const folder of [empty, context, ended, busy]) supervisor.add(folder)

  await until(() => starts(busy).length === 1)
  expect([empty, context, ended].map(starts)).toEqual([[], [], []])
  expect(path(empty)).toEqual([])
  expect(supervisor.states().get(ended)).toEqual({ state: 'idle' })
})

test('a message that is due later starts a runtime when its time has come', async () => {
  const folder = session(0)
  const { supervisor, becomes } = supervised({ command: SLEEPS })
  const beforeMs = Date.now()
  openHost(folder).enqueue({ kind: 'chat', content: {}, processAfter: '400ms' })
  supervisor.add(folder)

  await becomes(folder, 'starting')
  expect(Date.now() - beforeMs).toBeGreaterThanOrEqual(400)
})

test('a runtime that ends at once is started again, after growing delays up to a limit [W26]', async () => {
  const folder = session()
  const { supervisor, events, becomes } = supervised({
    command: script('echo first; echo "no such luck" >&2; exit 3'),
    limits: { pauseMinMs: 10, pauseMaxMs: 40 },
  })
  supervisor.add(folder)

  await becomes(folder, 'backing-off', ({ failures }) => failures === 5)
  const waits = events.flatMap((event) =>
    event.type === 'state' && event.state === 'backing-off' ? [event] : [],
  )
  expect(waits.slice(0, 5).map(({ failures }) => failures)).toEqual([1, 2, 3, 4, 5])
  expect(waits[0]!.reason).toBe('it ended with exit code 3: no such luck')
  await supervisor.stop()
  expect(starts(folder)).toHaveLength(waits.length)
})

test('a missing program is a failure like any other', async () => {
  const folder = session()
  const { supervisor, becomes } = supervised({ command: { argv: ['nanoclaw-that-is-not-there'] } })
  supervisor.add(folder)
  const { reason } = await becomes(folder, 'backing-off')
  expect(reason).toMatch(/could not be started: .*ENOENT/)
})

test('a container whose inbox is a link is not started: the engine would mount what it leads to [108]', async () => {
  const folder = session()
  symlinkSync(tempDir(), join(folder, 'inbox'))
  const { supervisor, becomes } = supervised({ command: { engine: 'docker', image: 'never-started' } })
  supervisor.add(folder)
  const { reason } = await becomes(folder, 'refused')
  expect(reason).toMatch(/inbox is not a real folder; move away what is there/)
})

test('a folder that another runtime serves is retried later', async () => {
  const folder = session()
  const { supervisor, becomes } = supervised({
    command: script('exit 75'),
    limits: { heldMinMs: 60_000, pauseMaxMs: 90_000 },
  })
  supervisor.add(folder)
  const { reason, untilMs } = await becomes(folder, 'backing-off')

  expect(reason).toMatch(/another runtime serves this folder/)
  expect(untilMs - Date.now()).toBeGreaterThan(20_000)
  supervisor.retry(folder)
  await until(() => starts(folder).length === 2)
})

test('a wrong configuration is not tried again before it changes, or before retry()', async () => {
  const folder = session()
  const config = join(tempDir(), 'nanoclaw.config.ts')
  const { supervisor, becomes, path } = supervised({
    command: script('echo "timeout is soon" >&2; exit 78'),
    configuration: [config],
  })
  supervisor.add(folder)

  expect(await becomes(folder, 'refused')).toMatchObject({
    reason: expect.stringMatching(/78\): timeout is soon/),
  })
  for (let rounds = 0; rounds < 5; rounds++) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(starts(folder)).toHaveLength(1)
  writeFileSync(config, 'export default {}')
  await until(() => path(folder).filter((state) => state === 'refused').length === 2)
  supervisor.retry()
  await until(() => starts(folder).length === 3)
})

test('an instance with a claim and no heartbeat is killed, and the folder gets another', async () => {
  const folder = session()
  heartbeat(folder, 1)
  const { supervisor, becomes } = supervised({
    command: script('trap "" TERM; while :; do sleep 0.02; done'),
    limits: { claimMs: 150, heartbeatMs: 60_000, stopGraceMs: 50 },
  })
  supervisor.add(folder)
  await until(() => starts(folder).length === 1)
  claim(folder, 'm-0')

  const { reason, pid } = await becomes(folder, 'stopping')
  expect(reason).toMatch(/message "m-0" was claimed .* no heartbeat followed/)
  expect(await becomes(folder, 'backing-off')).toMatchObject({
    failures: 1,
    reason: expect.stringMatching(/SIGKILL/),
  })
  expect(isAlive(pid!)).toBe(false)
  await until(() => starts(folder).length === 2)
})

test('an instance whose heartbeat stops is killed; a heartbeat from before its start does not count', async () => {
  const folder = session()
  heartbeat(folder, 1)
  const { supervisor, becomes, path } = supervised({ command: SLEEPS, limits: { heartbeatMs: 200 } })
  supervisor.add(folder)
  await until(() => starts(folder).length === 1)
  await until(() => {
    heartbeat(folder, new Date())
    return path(folder).includes('running')
  })

  const { reason } = await becomes(folder, 'stopping')
  expect(reason).toMatch(/no heartbeat for (0\.[2-9]|[1-9][\d.]*) s/)
})

test('an idle runtime of this project is not stale without a heartbeat: its status file is fresh', async () => {
  const folder = session()
  const note = '"$NANOCLAW_WORKSPACE/.runtime.json"'
  const { supervisor, becomes } = supervised({
    command: script(
      `touch "$NANOCLAW_WORKSPACE/.heartbeat"; for n in $(seq 40); do touch ${note}; sleep 0.05; done; touch "$NANOCLAW_WORKSPACE/frozen"; exec sleep 60`,
    ),
    limits: { heartbeatMs: 700 },
  })
  supervisor.add(folder)

  const { reason } = await becomes(folder, 'stopping')
  expect(reason).toMatch(/no heartbeat/)
  expect(existsSync(join(folder, 'frozen'))).toBe(true)
})

test('only the instance that was started here is checked: claims and heartbeats of others are ignored [W27]', async () => {
  const folder = session()
  claim(folder, 'm-0', new Date(Date.now() - 3_600_000))
  heartbeat(folder, 1)
  const { supervisor, path } = supervised({ command: SLEEPS, limits: { claimMs: 20, heartbeatMs: 100_000 } })
  supervisor.add(folder)
  await until(() => starts(folder).length === 1)
  for (let rounds = 0; rounds < 5; rounds++) await new Promise((resolve) => setTimeout(resolve, 20))

  expect(path(folder)).toEqual(['starting', 'starting'])
})

test('stop() ends what ignores SIGTERM, and its children, and resolves when no process runs any more', async () => {
  const folder = session()
  const { supervisor, becomes } = supervised({
    command: script(
      'trap "" TERM; sleep 61 & echo $! >> "$NANOCLAW_WORKSPACE/starts"; while :; do sleep 0.02; done',
    ),
    limits: { stopGraceMs: 50 },
  })
  supervisor.add(folder)
  await becomes(folder, 'starting', ({ pid }) => pid !== undefined)
  await until(() => starts(folder).length === 2)

  await supervisor.stop()
  const [shell, child] = starts(folder)
  expect(isAlive(shell!)).toBe(false)
  expect(supervisor.state(folder)).toEqual({ state: 'idle' })
  // It was killed in the same moment, but the end of a grandchild is not reported.
  await until(() => !isAlive(child!))
  await supervisor.stop()
})

test('a container whose client was killed is removed before the folder goes on', async () => {
  const folder = session()
  const removed = join(folder, 'removed')
  const { supervisor } = supervised({
    command: ({ folder: workspace }) => ({
      argv: ['sh', '-c', 'echo $$ >> "$0/starts"; exec sleep 60', workspace],
      kill: ['sh', '-c', 'sleep 0.1; touch "$0"', removed],
    }),
  })
  supervisor.add(folder)
  await until(() => starts(folder).length === 1)
  process.kill(starts(folder)[0]!, 'SIGKILL')

  await until(() => starts(folder).length === 2)
  expect(existsSync(removed)).toBe(true)
})

test('the limit of instances holds; the other folders follow in order [W40]', async () => {
  const folders = [session(), session(), session(), session()]
  const enough = join(tempDir(), 'enough')
  let running = 0
  let most = 0
  const { supervisor, events } = supervised({
    command: script(`while [ ! -e '${enough}' ]; do sleep 0.02; done; sleep 0.1; exit 0`),
    instancesMax: 2,
    limits: { pauseMinMs: 60_000, pauseMaxMs: 60_000 },
    onEvent: (event) => {
      if (event.type !== 'state') return
      if (event.state === 'starting' && event.pid === undefined) most = Math.max(most, ++running)
      if (event.state === 'backing-off') running--
      order.push(`${event.state} ${folders.indexOf(event.folder)}`)
    },
  })
  const order: string[] = []
  expect(events).toEqual([])
  for (const folder of folders) supervisor.add(folder)

  await until(() => order.includes('waiting 2') && order.includes('waiting 3'))
  writeFileSync(enough, '')
  await until(() => order.filter((event) => event.startsWith('backing-off')).length === 4)
  expect(most).toBe(2)
  expect([...new Set(order.filter((event) => event.startsWith('starting')))]).toEqual(
    folders.map((_, n) => `starting ${n}`),
  )
})

test('a start waits until prepare succeeds, and its result reaches the process', async () => {
  const folder = session()
  let calls = 0
  const { supervisor, becomes } = supervised({
    command: script('echo "$PROXY" > "$NANOCLAW_WORKSPACE/proxy"; exec sleep 60'),
    prepare: async (dir) => {
      if (++calls < 3) throw new Error(`no gateway for ${dir}`)
      return { env: { PROXY: 'http://gate' } }
    },
  })
  supervisor.add(folder)

  expect(await becomes(folder, 'refused')).toMatchObject({
    reason: `no gateway for ${folder}`,
    untilMs: expect.any(Number),
  })
  await until(() => existsSync(join(folder, 'proxy')))
  expect(calls).toBe(3)
})

test('a prepare that never ends fails the start, and does not delay stop()', async () => {
  const folder = session()
  const { supervisor, becomes } = supervised({
    command: SLEEPS,
    prepare: () => new Promise(() => {}),
    limits: { prepareMs: 30, pauseMaxMs: 20 },
  })
  supervisor.add(folder)
  expect((await becomes(folder, 'refused')).reason).toBe('prepare did not finish within 30 ms')
  await supervisor.stop()
  expect(starts(folder)).toEqual([])
})

test('a folder is supervised once, by any path to it', async () => {
  const folder = session()
  const link = join(tempDir(), 'link')
  symlinkSync(folder, link)
  const { supervisor } = supervised({ command: SLEEPS })
  supervisor.add(folder)
  supervisor.add(link)
  supervisor.add(`${folder}/../${folder.split('/').at(-1)}`)

  await until(() => starts(folder).length > 0)
  expect([...supervisor.states().keys()]).toEqual([folder])
  await supervisor.remove(link)
  expect(supervisor.state(folder)).toBeUndefined()
  expect(starts(folder).map(isAlive)).toEqual([false])
})

test('outbound.db has the journal of a dead runtime: a runtime is started, which alone can roll it back [W14]', async () => {
  const folder = session()
  const path = join(folder, 'outbound.db')
  const outbound = openDb(path)
  outbound.exec('create table filler (text)')
  outbound
    .prepare('insert into filler select hex(zeroblob(500)) from json_each(?)')
    .run(JSON.stringify(Array(500).fill(0)))
  outbound.close()
  await leaveHotJournal(path, `update filler set text = 'torn'`)
  const { supervisor } = supervised({ command: SLEEPS })
  supervisor.add(folder)

  await until(() => starts(folder).length === 1)
})

test('a failing session does not stop others, and is reported once [W14]', async () => {
  const bad = session()
  const good = session()
  writeFileSync(
    join(bad, 'inbound.db'),
    'this is no database, and it is long enough to be looked at as one'.repeat(99),
  )
  const { supervisor, events } = supervised({ command: SLEEPS })
  supervisor.add(bad)
  supervisor.add(good)

  await until(() => starts(good).length === 1)
  await until(() => events.some(({ type }) => type === 'trouble'))
  for (let rounds = 0; rounds < 5; rounds++) await new Promise((resolve) => setTimeout(resolve, 20))
  const troubles = events.filter(({ type }) => type === 'trouble')
  expect(troubles).toEqual([
    { type: 'trouble', folder: bad, error: expect.stringMatching(/not an SQLite database/) },
  ])
})

test('illegal options are named', () => {
  expect(() => supervise({ command: SLEEPS, instancesMax: 0 })).toThrow(
    'supervise: instancesMax is 0; expected',
  )
  const supervisor = supervise({ command: SLEEPS })
  onTestFinished(() => supervisor.stop())
  expect(() => supervisor.add('/nowhere/at/all')).toThrow(/supervise: \/nowhere\/at\/all is not a directory/)
})
