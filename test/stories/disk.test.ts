// outbound.db that is not writable for a while. A full disk needs a file system of its own: that runs where
// mounting is allowed.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openDb } from '../support/files.ts'
import { benchOf, project, testConfig, until, workbench } from '../support/runtime.ts'

it.skipIf(process.platform !== 'linux' || process.getuid?.() !== 0)(
  'a full disk stops claims and keeps results; no message is lost or repeated when there is room again [69, 70]',
  async () => {
    const root = project(['slow'])
    const disk = join(root, 'disk')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk])
    onTestFinished(() => void execFileSync('umount', ['-l', disk]))
    const config = testConfig(root, { concurrency: 1 })
    const bench = benchOf({
      ...config,
      paths: { ...config.paths, outbound: join(disk, 'outbound.db'), lock: join(disk, '.lock') },
    })
    const [failed, recovered]: [string[], number[]] = [[], []]
    bench.events.on('commit-failed', ({ code }) => failed.push(code))
    bench.events.on('commit-recovered', ({ results }) => recovered.push(results))
    onTestFinished(() => bench.runtime.stop())
    await bench.runtime.start()
    const running = [bench.send('slow', { ms: 400 })]
    await until(() => running.every((id) => bench.ack(id) === 'processing'))
    expect(() => writeFileSync(join(disk, 'filler'), Buffer.alloc(1024 * 1024))).toThrow('ENOSPC')
    const later = Array.from({ length: 30 }, () => bench.send('slow', { ms: 1 }))
    await until(() => failed.length > 0)
    expect(failed).toEqual(['SQLITE_FULL'])
    expect(running.map((id) => bench.ack(id))).toEqual(['processing'])
    rmSync(join(disk, 'filler'))
    await bench.ended(...running, ...later)
    expect(recovered).toHaveLength(1)
    expect(
      [...running, ...later].map((id) => [bench.ack(id), bench.runs(id).length, bench.replies(id).length]),
    ).toEqual(Array.from({ length: 31 }, () => ['completed', 1, 1]))
  },
)

it('a lasting lock on outbound.db is reported once and shown in the status file until it is released', async () => {
  const bench = await workbench(['echo'])
  const [failed, recovered]: [string[], number[]] = [[], []]
  bench.events.on('commit-failed', ({ code }) => failed.push(code))
  bench.events.on('commit-recovered', ({ results }) => recovered.push(results))
  const note = () => JSON.parse(readFileSync(`${bench.config.workspace}/.runtime.json`, 'utf8'))
  await bench.ended(bench.send('echo'))
  const keeper = openDb(bench.config.paths.outbound)
  keeper.exec('begin exclusive')
  const id = bench.send('echo')
  await until(() => failed.length > 0)
  await until(() => note().state === 'holding')
  expect(note().waitingFor).toContain('SQLITE_BUSY')
  keeper.exec('commit')
  await bench.ended(id)
  await until(() => note().state === 'running')
  expect([failed, recovered, bench.runs(id).length]).toEqual([['SQLITE_BUSY'], [0], 1])
})
