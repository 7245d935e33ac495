// Further effects of handlers on their process, and of the machine on all processes.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { messageLines } from '../../runtime/cli/show.ts'
import { readRuntime } from '../../runtime/store/sqlite/inspect.ts'
import { readMessage } from '../../runtime/store/sqlite/inspect-message.ts'
import { headInbound, insertMessage, openDb, tempDir } from '../support/files.ts'
import { project, sharedBench, testConfig, until, workbench } from '../support/runtime.ts'
import { acksAt, CLI, serve } from '../support/serve.ts'

const has = (command: string) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0

const shared = sharedBench(
  ['echo'],
  { concurrency: 4, maxMessagesPerWorker: 2, warmMax: 8 },
  {
    'buffers.js': `import { execFileSync } from 'node:child_process'
    import { readFileSync } from 'node:fs'
    export default { retry: { attempts: 1 }, handler() {
      const kb = Number(/VmData:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
      execFileSync('prlimit', ['--pid', String(process.pid), '--data=' + (kb * 1024 + 200_000_000)])
      const hoard = []
      for (;;) hoard.push(Buffer.alloc(20_000_000))
    } }`,
    'leaks.js': `import { createServer } from 'node:net'
    export default () => { setInterval(() => undefined, 10); createServer().listen(0); return 'left open' }`,
    'stopped.js': `export default { timeout: '200ms', retry: { attempts: 1 }, handler() { process.kill(process.pid, 'SIGSTOP') } }`,
    'last-words.js': `export default { retry: { attempts: 9, minDelay: 1, maxDelay: 5 }, handler({ content }) {
    console.error('about to go, ' + content.how)
    if (content.how === 'exit') process.exit(7)
    process.kill(process.pid, 'SIGSEGV')
    return new Promise(() => undefined)
  } }`,
  },
)

describe('a handler', () => {
  it.skipIf(!has('prlimit'))(
    'that fills memory outside the heap gets an error where its process has a limit, without out_of_memory [9, 172]',
    async () => {
      const bench = shared()
      const id = bench.send('buffers')
      await bench.ended(id)
      // Some versions of V8 abort where they get no memory for their own heap, which is not at its limit.
      const [run] = bench.runs(id)
      expect(['handler_error', 'worker_signal']).toContain(run?.reason)
      expect(JSON.stringify(run?.error)).toMatch(
        /allocation failed|Failed to allocate memory|Committing semi space failed/i,
      )
    },
  )

  it('that leaves timers and sockets open blocks nothing; maxMessagesPerWorker replaces its process [21]', async () => {
    const bench = shared()
    const ids = Array.from({ length: 6 }, () => bench.send('leaks', {}, { thread_id: 'one' }))
    await bench.ended(...ids)
    expect(ids.map((id) => bench.ack(id))).toEqual(ids.map(() => 'completed'))
    const workers = new Set(ids.map((id) => bench.runs(id)[0]!.worker))
    expect(workers.size).toBe(3)
    const goneNow = [...workers].slice(0, -1)
    await until(() => goneNow.every((pid) => !isAlive(pid)))
  })

  it('whose grandchild leaves the group is not delayed; the grandchild continues [24]', async () => {
    const bench = await workbench(
      [],
      {},
      {
        'detached.js': `import { spawn } from 'node:child_process'
        export default () => ({ pid: spawn('sleep', ['60'], { detached: true, stdio: 'inherit' }).pid })`,
      },
    )
    const id = bench.send('detached')
    await bench.ended(id)
    const { pid } = bench.replies(id)[0]!.content
    onTestFinished(() => void process.kill(pid, 'SIGKILL'))
    const startMs = performance.now()
    await bench.runtime.stop()
    expect(performance.now() - startMs).toBeLessThan(30_000)
    expect(isAlive(pid)).toBe(true)
  })

  it('whose process ends afterwards does not affect the next message, although a grandchild keeps its pipes open [20, 24]', async () => {
    const bench = await workbench(
      [],
      {},
      {
        'goes.js': `import { spawn } from 'node:child_process'
        export default { retry: { attempts: 1 }, handler({ content }) {
          if (!content.goes) return 'stays'
          spawn('sleep', ['60'], { stdio: 'inherit' })
          setTimeout(() => process.exit(0), 20)
        } }`,
      },
    )
    const first = bench.send('goes', { goes: true })
    await bench.ended(first)
    await until(() => !isAlive(bench.runs(first)[0]!.worker))
    const second = bench.send('goes')
    await bench.ended(second)
    expect(bench.ack(second)).toBe('completed')
  })

  it('whose process is suspended times out, and its process is killed [26]', async () => {
    const bench = shared()
    const id = bench.send('stopped')
    await bench.ended(id)
    expect(bench.runs(id)).toMatchObject([{ outcome: 'timed-out', reason: 'timeout' }])
    await until(() => !isAlive(bench.runs(id)[0]!.worker))
  })

  it.each([
    ['exit', 'exited with code 7'],
    ['signal', 'killed by SIGSEGV'],
  ])('that ends each of its processes (%s) fails, and show has the stderr tail [30]', async (how, words) => {
    const bench = shared()
    const [id, other] = [bench.send('last-words', { how }), bench.send('echo')]
    await bench.ended(id, other)
    const { paths, crashLimit } = bench.config
    const shown = messageLines(readMessage(paths, id), readRuntime(paths), Date.now(), (_style, text) => text)
    expect(shown.join('\n')).toMatch(/failed \(crash_limit\)/)
    for (const said of [words, `about to go, ${how}`])
      expect(shown.filter((line) => line.includes(said))).toHaveLength(crashLimit)
    expect(bench.ack(other)).toBe('completed')
  })
})

it('maxMessagesPerWorker 1 gives each message a new process [22]', async () => {
  const bench = await workbench(
    [],
    { maxMessagesPerWorker: 1 },
    {
      'count.js': 'export default () => { globalThis.count = (globalThis.count ?? 0) + 1; return { count } }',
    },
  )
  const ids = Array.from({ length: 5 }, () => bench.send('count'))
  await bench.ended(...ids)
  expect(ids.map((id) => bench.replies(id)[0]?.content.count)).toEqual(ids.map(() => 1))
})

describe('a runtime', () => {
  it.skipIf(!has('prlimit'))(
    'that cannot open files or start processes holds, charges no message, and continues when it can [32]',
    async () => {
      const root = project([], {
        'slow.js': 'export default () => new Promise((resolve) => setTimeout(() => resolve("done"), 150))',
      })
      const { paths, workspace } = testConfig(root)
      const inbound = headInbound(paths.inbound)
      // Each poll in doubt opens the file again, and has no descriptor for that.
      const runtime = serve(root, workspace, { args: ['--concurrency', '3', '--no-watch'] })
      // It says that it has started before it has opened inbound.db, which it must have done before nothing
      // can be opened.
      const { id: first } = insertMessage(inbound, { kind: 'slow' })
      await until(() => acksAt(paths.outbound)[first] === 'completed')
      const pid = String(runtime.process.pid)
      // Every new descriptor would have a number that is too high.
      execFileSync('prlimit', ['--pid', pid, '--nofile=1:4096'])
      // In one commit: after the first one alone the runtime would hold, and never come to want a second
      // process.
      const ids = inbound.transaction(() =>
        [1, 2, 3].map(() => insertMessage(inbound, { kind: 'slow' }).id),
      )()
      const said = (msg: string) => runtime.lines().some((line) => line.msg.startsWith(msg))
      await until(() => said('outbound.db takes no writes') && said('function cannot be used'), runtime.text)
      expect(runtime.lines().find(({ code }) => code !== undefined)?.code).toBe('SQLITE_CANTOPEN')
      execFileSync('prlimit', ['--pid', pid, '--nofile=1024:4096'])
      await until(() => ids.every((id) => acksAt(paths.outbound)[id] === 'completed'))
      const outbound = openDb(paths.outbound, { readonly: true })
      expect(outbound.prepare('select attempt, outcome from nanoclaw_run').raw().all()).toEqual(
        [first, ...ids].map(() => [1, 'replied']),
      )
      runtime.process.kill('SIGTERM')
      expect(await runtime.ended).toBe(0)
    },
  )

  it('that gets two signals ends at once; its claims stay for the next start [42]', async () => {
    const root = project(['slow'])
    const { paths, workspace } = testConfig(root)
    const { id } = insertMessage(headInbound(paths.inbound), { kind: 'slow', content: { ms: 60_000 } })
    const runtime = serve(root, workspace)
    await until(() => acksAt(paths.outbound)[id] === 'processing')
    runtime.process.kill('SIGTERM')
    await until(() => runtime.lines().some(({ msg }) => msg === 'stopping'))
    runtime.process.kill('SIGINT')
    expect(await runtime.ended).toBe(130)
    expect(acksAt(paths.outbound)).toEqual({ [id]: 'processing' })
  })

  it.skipIf(spawnSync('unshare', ['-Ur', 'true']).status !== 0)(
    'without file watches of the system reports that once, and its poll finds every message [89]',
    async () => {
      const root = project(['echo'])
      const { paths, workspace } = testConfig(root)
      const inbound = headInbound(paths.inbound)
      const none = 'echo 0 > /proc/sys/user/max_inotify_watches && exec "$@"'
      const runtime = serve(root, workspace, { before: ['unshare', '-Ur', 'sh', '-c', none, 'sh'] })
      await until(() => runtime.lines().some(({ msg }) => msg === 'started'))
      for (let n = 0; n < 2; n++) {
        const { id } = insertMessage(inbound, { kind: 'echo' })
        await until(() => acksAt(paths.outbound)[id] === 'completed')
      }
      expect(runtime.lines().filter(({ msg }) => msg.startsWith('no file events'))).toHaveLength(1)
    },
  )

  describe.skipIf(process.getuid?.() !== 0 || !has('setpriv'))('as a user without the rights of root', () => {
    // The owner of this clone: only that user can enter a clone below a private folder.
    const { uid } = statSync(CLI)
    const rights = ['--clear-groups', '--inh-caps=-all', '--bounding-set=-all']
    const before = ['setpriv', '--reuid', String(uid), ...rights]
    const mayRead = spawnSync(before[0]!, [...before.slice(1), 'test', '-r', CLI]).status === 0
    const why = `the owner of ${CLI}, uid ${uid}, cannot read it: a folder above belongs to another user`

    it('without write permission ends with 78, and names the path and its user [76]', async ({ skip }) => {
      skip(!mayRead, why)
      const root = project(['echo'])
      const { workspace } = testConfig(root)
      chmodSync(root, 0o755)
      chmodSync(workspace, 0o700)
      chownSync(workspace, 65534, 65534)
      const runtime = serve(root, workspace, { before, args: ['--cache', tempDir()] })
      expect(await runtime.ended).toBe(78)
      expect(runtime.text()).toContain(workspace)
      expect(runtime.text()).toContain(`uid ${uid}`)
    })

    it('without write permission in its project keeps built functions in the workspace, unless a cache is set [157]', async ({
      skip,
    }) => {
      skip(!mayRead, why)
      const root = project(['echo'])
      writeFileSync(join(root, 'nanoclaw.config.js'), 'export default { poll: 50 }')
      const workspace = tempDir()
      chownSync(workspace, uid, 0)
      for (const path of [root, join(root, 'functions')]) {
        chmodSync(path, 0o755)
        chownSync(path, 65534, 65534)
      }
      const inbound = headInbound(join(workspace, 'inbound.db'))
      chownSync(join(workspace, 'inbound.db'), uid, 0)
      const { id } = insertMessage(inbound, { kind: 'echo' })
      const runtime = serve(root, workspace, { before })
      await until(
        () => acksAt(join(workspace, 'outbound.db'))[id] === 'completed',
        () => runtime.text(),
      )
      expect(readdirSync(join(workspace, '.cache')).some((name) => name.startsWith('echo-'))).toBe(true)
      expect(readdirSync(root).sort()).toEqual(['functions', 'nanoclaw.config.js', 'workspace'])
      runtime.process.kill('SIGTERM')
      expect(await runtime.ended).toBe(0)

      const cache = join(root, 'cache')
      const refused = serve(root, workspace, { before, args: ['--cache', cache] })
      expect(await refused.ended).toBe(78)
      expect(refused.text()).toContain(cache)
    })
  })
})

/** Zombies, which wait for their parent to reap them, are not alive. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
