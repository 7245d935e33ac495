// A host with inbound.db in WAL mode: served where that works, with a remedy.
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { headInbound, insertMessage, openDb } from '../support/files.ts'
import { benchOf, project, testConfig, until } from '../support/runtime.ts'

it('on a local disk it is served; one warning names the better mode [67]', async () => {
  const bench = benchOf(testConfig(project(['echo'])))
  bench.inbound.pragma('journal_mode = wal')
  const told: string[] = []
  bench.events.on('inbound-wal', ({ path }) => told.push(path))
  onTestFinished(() => bench.runtime.stop())
  await bench.runtime.start()
  for (let n = 0; n < 3; n++) await bench.ended(bench.send('echo'))
  expect(told).toEqual([bench.config.paths.inbound])
})

it.skipIf(process.platform !== 'linux' || process.getuid?.() !== 0)(
  'on a read-only mount it cannot be read, which is reported with a remedy; the remedy works [66]',
  async () => {
    const root = project(['echo'])
    const [folder, mount] = [join(root, 'host'), join(root, 'mount')]
    mkdirSync(folder)
    mkdirSync(mount)
    const path = join(folder, 'inbound.db')
    const db = headInbound(path)
    const { id } = insertMessage(db, { kind: 'echo' })
    db.pragma('journal_mode = wal')
    db.close()
    execFileSync('mount', ['--bind', folder, mount])
    onTestFinished(() => void execFileSync('umount', ['-l', mount]))
    execFileSync('mount', ['-o', 'remount,bind,ro', mount])
    const config = testConfig(root)
    const paths = { ...config.paths, inbound: join(mount, 'inbound.db') }
    const { createEvents, createRuntime } = await import('../../runtime/runtime.ts')
    const events = createEvents()
    const waits: string[] = []
    events.on('waiting', ({ reason }) => waits.push(reason))
    const runtime = createRuntime({ ...config, paths }, events)
    onTestFinished(() => runtime.stop())
    await runtime.start()
    await until(() => waits.length > 0)
    expect(waits[0]).toMatch(/WAL.*journal_mode=DELETE/)
    const host = openDb(path)
    host.pragma('journal_mode = delete')
    const outbound = openDb(paths.outbound, { readonly: true })
    await until(
      () =>
        outbound.prepare('select status from processing_ack where message_id = ?').pluck().get(id) ===
        'completed',
    )
    expect(waits).toHaveLength(1)
  },
)
