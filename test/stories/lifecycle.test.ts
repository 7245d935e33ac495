// Starting, stopping, being the only one, and being replaced.
import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Config } from '../../runtime/config/options.ts'
import { createEvents } from '../../runtime/protocol/events.ts'
import { statusPath } from '../../runtime/protocol/status-file.ts'
import { createRuntime } from '../../runtime/runtime.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { openDb, tempDir, wireOutbound } from '../support/files.ts'
import {
  benchOf,
  project,
  testConfig,
  until,
  type Workbench,
  workbench,
  workbenchAt,
} from '../support/runtime.ts'

describe('one workspace', () => {
  it('W12, 44: is served by one runtime; a second one is refused and told who the first is', async () => {
    const bench = await workbench(['echo'])
    const second = createRuntime(bench.config, createEvents())
    await until(() => readFileSync(`${bench.config.workspace}/.runtime.json`, 'utf8').includes('"pid"'))
    await expect(second.start()).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining(`process ${process.pid}`),
    })
    const id = bench.send('echo')
    await bench.ended(id)
  })

  it('45, 46: when another one has taken it over all the same, the first writes nothing more and says so', async () => {
    const bench = await workbench(['slow'])
    const fatal: number[] = []
    bench.events.on('fatal', ({ exitCode }) => fatal.push(exitCode))
    const id = bench.send('slow', { ms: 300 })
    await until(() => bench.ack(id) === 'processing')
    openDb(bench.config.paths.outbound).exec('update nanoclaw_runtime set epoch = epoch + 1')
    await until(() => fatal.length > 0)
    expect(fatal).toEqual([75])
    expect(bench.replies(id)).toEqual([])
  })

  it('68, 75: that cannot be written, or is damaged, is refused before anything is claimed', async () => {
    const root = project(['echo'])
    const config = testConfig(root)
    writeFileSync(config.paths.outbound, 'no database '.repeat(1000))
    await expect(createRuntime(config, createEvents()).start()).rejects.toMatchObject({
      code: 'outbound_unusable',
      message: expect.stringContaining('not an SQLite database'),
    })
    const folder = { ...config, paths: { ...config.paths, outbound: `${root}/folder` } }
    mkdirSync(`${root}/folder`)
    await expect(createRuntime(folder, createEvents()).start()).rejects.toMatchObject({
      code: 'outbound_unusable',
    })
    expect(readFileSync(config.paths.outbound, 'utf8')).toContain('no database')
  })

  it('74: whose outbound.db is moved away while it is in use ends the runtime, which a person has to mend', async () => {
    const bench = await workbench(['slow'])
    const fatal: number[] = []
    bench.events.on('fatal', ({ exitCode }) => fatal.push(exitCode))
    const id = bench.send('slow', { ms: 200 })
    await until(() => bench.ack(id) === 'processing')
    renameSync(bench.config.paths.outbound, `${bench.config.paths.outbound}.moved`)
    await until(() => fatal.length > 0)
    expect(fatal).toEqual([78])
  })

  it('W10: whose outbound.db somebody else has locked for a moment is started all the same', async () => {
    const root = project(['echo'])
    const config = testConfig(root)
    const reader = wireOutbound(config.paths.outbound)
    reader.exec('begin exclusive')
    const bench = benchOf(config)
    onTestFinished(() => bench.runtime.stop())
    const starting = bench.runtime.start()
    await new Promise((resolve) => setTimeout(resolve, 300))
    reader.exec('commit')
    await starting
    await bench.ended(bench.send('echo'))
  })

  it('85: whose heartbeat is a link is refused', async () => {
    const config = testConfig(project(['echo']))
    symlinkSync('/dev/null', config.paths.heartbeat)
    await expect(createRuntime(config, createEvents()).start()).rejects.toMatchObject({
      code: 'outbound_unusable',
      message: expect.stringContaining('.heartbeat'),
    })
  })
})

describe('stopping', () => {
  it('W15, 40: lets what runs finish, claims nothing more, and leaves the rest for the next start', async () => {
    const bench = await workbench(['slow'])
    const ids = [1, 2, 3].map(() => bench.send('slow', { ms: 400 }, { thread_id: 'one' }))
    await until(() => bench.ack(ids[0]!) === 'processing')
    await bench.runtime.stop()
    expect(ids.map((id) => bench.ack(id))).toEqual(['completed', undefined, undefined])
    const next = await workbenchAt(bench.config.root)
    await next.ended(...ids)
    expect(ids.map((id) => next.runs(id).length)).toEqual([1, 1, 1])
  })

  it('41: ends a handler that is too slow, without a charge: no attempt is lost', async () => {
    const { bench, clock, id, stopped } = await stopping({ drainMs: 600, abortGraceMs: 200 }, 'slow', {
      ms: 60_000,
    })
    clock.advance(600)
    await stopped()
    expect(bench.ack(id)).toBeUndefined()
    expect(bench.runs(id)).toMatchObject([{ outcome: 'cancelled', reason: 'shutdown' }])
    bench.inbound.prepare('update messages_in set content = ? where id = ?').run('{"ms":1}', id)
    const next = await workbenchAt(bench.config.root)
    await next.ended(id)
    expect(next.replies(id)[0]?.content.attempt).toBe(1)
  })

  it('waits for a handler until it is time to tell it, and when that has ended for nothing else', async () => {
    const { bench, clock, id, stopped } = await stopping({ drainMs: 400, abortGraceMs: 300 }, 'heed')
    clock.advance(100)
    await stopped()
    expect(bench.ack(id)).toBeUndefined()
    expect(bench.runs(id)).toMatchObject([{ outcome: 'cancelled', reason: 'shutdown' }])
  })

  it('may be asked for twice, and while the start is still under way', async () => {
    const bench = benchOf(testConfig(project(['echo'])))
    const starting = bench.runtime.start()
    await Promise.all([bench.runtime.stop(), bench.runtime.stop(), starting])
    const again = await workbenchAt(bench.config.root)
    await again.ended(again.send('echo'))
  })
})

describe('a start', () => {
  it('is quick to take up retries that were waiting, with their count', async () => {
    const bench = await workbench(['throw'])
    const id = bench.send('throw', { succeedAt: 3 })
    await until(() => bench.runs(id).length >= 1 && bench.ack(id) === undefined)
    await bench.runtime.stop()
    const next = await workbenchAt(bench.config.root)
    await next.ended(id)
    expect(next.runs(id).filter(({ outcome }) => outcome === 'threw')).toHaveLength(2)
    expect(next.ack(id)).toBe('completed')
  })

  it('reports every wrong function at once, and leaves nothing running', async () => {
    const sources = {
      'a.js': 'export default { on: { knd: "x" }, handler() {} }',
      'b.js': 'export default 5',
      'c.ts': 'export default (',
    }
    const bench = benchOf(testConfig(project([], sources)))
    await expect(bench.runtime.start()).rejects.toMatchObject({
      code: 'bad_function',
      message: expect.stringMatching(/functions\/a\.js[\s\S]*functions\/b\.js[\s\S]*functions\/c\.ts/),
    })
    const fixed = await workbenchAt(project(['echo']))
    await fixed.ended(fixed.send('echo'))
  })

  it('that fails when it has begun to look looks no more, and the next one has the workspace for itself', async () => {
    const failed = benchOf(testConfig(project(['echo'])))
    const { inbound } = failed.config.paths
    renameSync(inbound, `${inbound}.away`)
    failed.events.once('waiting', () => {
      throw new Error('a listener that fails')
    })
    await expect(failed.runtime.start()).rejects.toThrow('a listener that fails')
    const seenByTheFirst: unknown[] = []
    failed.events.on('readable', (about) => seenByTheFirst.push(about))
    renameSync(`${inbound}.away`, inbound)
    // The next one has nothing but the events of the file: what it sees, the first one could see.
    const next = await workbenchAt(failed.config.root, { pollMs: 60_000 })
    await next.ended(next.send('echo'))
    expect(seenByTheFirst).toEqual([])
  })

  it('147: beats at its start, after each claim and while something runs, and not while idle; its note says that it lives', async () => {
    const bench = await workbench(
      ['echo'],
      { heartbeatMs: 100, abortGraceMs: 100 },
      {
        'hold.js':
          'export default { on: { kind: "hold" }, handler: (_, { signal }) => new Promise((end) => signal.addEventListener("abort", end)) }',
      },
    )
    const touchedMs = (path: string) => statSync(path).mtimeMs
    const { heartbeat, lock } = bench.config.paths
    const atStartMs = touchedMs(heartbeat)
    const lives = new Set<number>()
    await until(() => lives.add(touchedMs(statusPath(lock))).size >= 3)
    expect(touchedMs(heartbeat)).toBe(atStartMs)

    const id = bench.send('echo')
    await bench.ended(id)
    const claimedMs = bench.outbound.prepare('select started_at from nanoclaw_run').pluck().get() as number
    const lastMs = touchedMs(heartbeat)
    expect(lastMs).toBeGreaterThanOrEqual(claimedMs - 1)
    lives.clear()
    await until(() => lives.add(touchedMs(statusPath(lock))).size >= 3)
    // A beat that was due when the run had just ended may still have come.
    expect(touchedMs(heartbeat) - lastMs).toBeLessThan(500)

    bench.send('hold')
    const beats = new Set<number>()
    await until(() => beats.add(touchedMs(heartbeat)).size >= 8)
  })
})

describe('functions that change', () => {
  const answer = (text: string) => `export default () => '${text}'`

  it('are reloaded without a message dropped; what runs ends on the code that it began with', async () => {
    const source = (text: string) =>
      `export default async () => { await new Promise((r) => setTimeout(r, 300)); return '${text}' }`
    const bench = await workbench([], {}, { 'talk.js': source('old') })
    bench.runtime.watchSources()
    const before = bench.send('talk', {}, { thread_id: 'x' })
    await until(() => bench.ack(before) === 'processing')
    const changed = once(bench, 'functions-changed')
    writeFileSync(`${bench.config.functions}/talk.js`, source('new'))
    const between = bench.send('talk', {}, { thread_id: 'y' })
    await changed
    const after = bench.send('talk', {}, { thread_id: 'x' })
    await bench.ended(before, between, after)
    expect(bench.replies(before)[0]?.content).toEqual({ text: 'old' })
    expect(bench.replies(after)[0]?.content).toEqual({ text: 'new' })
  })

  it('stay what they were while their source is wrong', async () => {
    const bench = await workbench([], {}, { 'talk.js': answer('good') })
    bench.runtime.watchSources()
    const broken = once(bench, 'function-broken')
    writeFileSync(`${bench.config.functions}/talk.js`, 'export default (')
    await broken
    const id = bench.send('talk')
    await bench.ended(id)
    expect(bench.replies(id)[0]?.content).toEqual({ text: 'good' })
  })

  it('are taken as an earlier start has heard of them, and loaded anew if they say something else by now', async () => {
    const source = `import { readFileSync } from 'node:fs'
      export default { on: { kind: readFileSync('../kind.txt', 'utf8') }, handler: () => 'hello' }`
    const root = project([], { 'any.js': source.replace('../', `${tempDir()}/`) })
    const file = /readFileSync\('(.*?)'/.exec(readFileSync(`${root}/functions/any.js`, 'utf8'))![1]!
    writeFileSync(file, 'one')
    utimesSync(`${root}/functions/any.js`, 1, 1)
    const first = await workbenchAt(root)
    await first.ended(first.send('one'))
    await first.runtime.stop()
    const pidsOf = ({ events }: Workbench) => {
      const seen: string[] = []
      events.on('worker-started', () => seen.push('worker'))
      events.on('started', () => seen.push('started'))
      return seen
    }
    const second = benchOf(testConfig(root))
    onTestFinished(() => second.runtime.stop())
    const order = pidsOf(second)
    writeFileSync(file, 'two')
    const changed = once(second, 'functions-changed')
    await second.runtime.start()
    expect(order).toEqual(['started'])
    await changed
    await second.ended(second.send('two'))
  })

  it('take up messages that nobody took before', async () => {
    const bench = await workbench(['echo'])
    bench.runtime.watchSources()
    const held = bench.send('novel')
    await bench.ended(bench.send('echo'))
    expect(bench.ack(held)).toBeUndefined()
    await until(() => readFileSync(`${bench.config.workspace}/.runtime.json`, 'utf8').includes('"novel": 1'))
    writeFileSync(`${bench.config.functions}/novel.js`, answer('at last'))
    await bench.ended(held)
    expect(bench.replies(held)[0]?.content).toEqual({ text: 'at last' })
  })

  it('27, 28, 29: that do not load are tried again with a growing pause, and hold only their own messages', async () => {
    const root = project(['echo'])
    const flag = `${root}/flag`
    writeFileSync(
      `${root}/functions/needy.js`,
      `import { existsSync } from 'node:fs'\nif (!existsSync(${JSON.stringify(flag)})) throw new Error('not yet')\nexport default () => 'ready'`,
    )
    const bench = benchOf(testConfig(root))
    const broken: string[] = []
    const ended: number[] = []
    bench.events.on('function-broken', ({ message }) => broken.push(message))
    bench.events.on('worker-ended', ({ pid }) => ended.push(pid))
    onTestFinished(() => bench.runtime.stop())
    await bench.runtime.start()
    const [held, other] = [bench.send('needy'), bench.send('echo')]
    await bench.ended(other)
    expect(broken[0]).toContain('functions/needy.js does not load: Error: not yet')
    expect(bench.ack(held)).toBeUndefined()
    await until(() => ended.length >= 2)
    writeFileSync(flag, '')
    await bench.ended(held)
    expect(bench.runs(held)).toHaveLength(1)
    expect(ended.length, 'not again and again').toBeLessThanOrEqual(8)
    expect(broken, 'told once').toHaveLength(1)
  })

  it('29: whose processes die at their start later are started again with a growing pause, and no message is charged', async () => {
    const root = project(['echo'])
    const flag = `${root}/flag`
    writeFileSync(
      `${root}/functions/fragile.js`,
      `import { existsSync } from 'node:fs'\nif (existsSync(${JSON.stringify(flag)})) process.exit(3)\nexport default (m) => { if (m.content.die) process.exit(1); return 'ok' }\n`,
    )
    const bench = await workbenchAt(root, {
      retry: { attempts: 9, minDelayMs: 1, maxDelayMs: 10, factor: 1 },
    })
    const broken: number[] = []
    bench.events.on('function-broken', ({ retryMs }) => broken.push(retryMs ?? -1))
    writeFileSync(flag, '')
    const killer = bench.send('fragile', { die: true })
    await until(() => broken.length >= 3)
    expect(broken.slice(0, 3)).toEqual([200, 400, 800])
    expect(bench.runs(killer)).toHaveLength(1)
    rmSync(flag)
    bench.inbound.prepare('update messages_in set content = ? where id = ?').run('{}', killer)
    await bench.ended(killer)
    expect(bench.ack(killer)).toBe('completed')
  })
})

/** A runtime that has been told to stop while a message runs. Its time stands still but for what the test lets pass. */
async function stopping(change: Partial<Config>, name: string, content = {}) {
  const clock = new FakeClock()
  const bench = benchOf(testConfig(project([name]), change), undefined, { clock })
  onTestFinished(() => bench.runtime.kill())
  await bench.runtime.start()
  // A claim is on disk before the handler listens to its signal: one that is told earlier does not hear of it.
  let started = false
  bench.events.once('log', () => {
    started = true
  })
  const id = bench.send(name, content)
  await until(() => {
    clock.advance(bench.ack(id) === undefined ? 1 : 0)
    return started
  })
  const told = new Promise<void>((resolve) => bench.events.once('stopping', () => resolve()))
  let over = false
  const stop = bench.runtime.stop().then(() => {
    over = true
  })
  await told
  /** What is due at once goes on. */
  const stopped = async () => {
    await until(() => {
      clock.advance(0)
      return over
    })
    await stop
  }
  return { bench, clock, id, stopped }
}

function once(
  bench: Awaited<ReturnType<typeof workbench>>,
  event: 'functions-changed' | 'function-broken',
): Promise<void> {
  return new Promise((resolve) => bench.events.once(event, () => resolve()))
}
