// sweep: one host for many folders.
import { existsSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Adapter, openHost, type SweepEvent, type SweepOptions, sweep } from 'nanoclaw-functions/host'
import { expect, onTestFinished, test, vi } from 'vitest'
import { HostOutbox } from '../../runtime/host/sqlite/outbox.ts'
import { realClock } from '../../runtime/protocol/clock.ts'
import { insertRow, openDb, tempDir } from '../support/files.ts'
import { until } from '../support/runtime.ts'

/** A folder in which a runtime has answered its one message, and where the answer goes. */
function answered(text = 'hello', platform = 'p', more: Record<string, unknown> = {}): string {
  const dir = tempDir()
  const host = openHost(dir)
  host.enqueue({ id: 'm', kind: 'chat', content: 'hi' })
  host.close()
  reply(dir, 'm:0', text, platform, more)
  return dir
}

function reply(
  dir: string,
  id: string,
  text: string,
  platform = 'p',
  more: Record<string, unknown> = {},
): void {
  const outbound = openDb(join(dir, 'outbound.db'))
  const at = '2026-11-24 06:02:20'
  outbound.transaction(() => {
    outbound
      .prepare('insert or ignore into processing_ack (message_id, status, status_changed) values (?, ?, ?)')
      .run(id.split(':')[0], 'completed', at)
    const content = JSON.stringify({ text })
    insertRow(outbound, 'messages_out', {
      id,
      timestamp: at,
      kind: 'chat',
      platform_id: platform,
      content,
      ...more,
    })
  })()
  outbound.close()
}

function swept(options: SweepOptions, ...folders: string[]) {
  const events: SweepEvent[] = []
  const all = sweep({ pauseMs: 10, onEvent: (event) => events.push(event), ...options })
  onTestFinished(() => all.stop())
  for (const folder of folders) all.add(folder)
  return { all, events, of: (type: string) => events.filter((event) => event.type === type) }
}

/** Handles of files of this process that lie in a folder. */
function handles(dir: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target.startsWith(dir) ? [target] : []
    } catch {
      return []
    }
  })
}

test('acks are copied and replies delivered in every folder, and no handle stays open', async () => {
  const folders = Array.from({ length: 8 }, (_, n) => answered(`n${n}`))
  const sent: string[] = []
  const { all, of } = swept({ adapter: ({ content }) => void sent.push(content.text) }, ...folders)

  await until(() => of('delivered').length === 8)
  expect(sent.sort()).toEqual(folders.map((_, n) => `n${n}`).sort())
  expect(of('synced')).toHaveLength(8)
  expect(of('synced')[0]).toMatchObject({ completed: 1, failed: 0, pending: 0 })
  await all.round()
  expect(of('synced')).toHaveLength(8)
  expect(folders.flatMap(handles)).toEqual([])
})

test('later messages are detected in a folder that was visited before', async () => {
  const folder = answered()
  const sent: string[] = []
  const { all } = swept({ adapter: ({ content }) => void sent.push(content.text) }, folder)
  await until(() => sent.length === 1)
  reply(folder, 'm:1', 'more')
  all.host(folder).enqueue({ id: 'other', kind: 'chat', content: 'hi' })
  reply(folder, 'other:0', 'other', 'r')

  await until(() => sent.length === 3)
  await until(() => all.host(folder).status('other')?.state === 'completed')
})

test('an unchanged folder is not read; its scheduled reply is sent when due', async () => {
  // By this clock the files were written long ago; it is moved by less than the minute after which everything
  // is read.
  let aheadMs = 3_600_000
  const clock = { ...realClock, now: () => Date.now() + aheadMs }
  const due = new Date(clock.now() + 30_000).toISOString()
  const folder = answered('later', 'p', { deliver_after: due })
  const sent: string[] = []
  const { all } = swept({ adapter: ({ content }) => void sent.push(content.text), clock }, folder)
  await all.round()
  await all.round()
  const read = vi.spyOn(HostOutbox.prototype, 'read')
  await all.round()
  await all.round()
  expect(read).not.toHaveBeenCalled()
  expect(sent).toEqual([])

  aheadMs += 30_000
  await until(() => sent.length === 1)
})

test('a slow adapter delays neither the other folders nor the other destinations of its own [W32]', async () => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const slow = answered('slow', 'slow')
  reply(slow, 'm:1', 'slow, behind', 'slow')
  reply(slow, 'm:2', 'beside', 'quick')
  const others = Array.from({ length: 5 }, (_, n) => answered(`other ${n}`, 'slow platform of others'))
  const sent: string[] = []
  const adapter: Adapter = async ({ content, platformId }) => {
    if (platformId === 'slow') await held
    sent.push(content.text)
  }
  const { all } = swept({ adapter }, slow, ...others)

  await until(() => sent.length === 6)
  for (let n = 0; n < 5; n++) reply(others[n]!, 'm:1', `again ${n}`)
  await until(() => sent.length === 11)
  expect(sent).toContain('beside')
  expect(sent.some((text) => text.startsWith('slow'))).toBe(false)
  await all.round()
  release()
  await until(() => sent.length === 13)
  expect(sent.slice(11)).toEqual(['slow', 'slow, behind'])
})

test('the limit of sends applies over all folders, and no reply is forgotten', async () => {
  const folders = Array.from({ length: 6 }, (_, n) => answered(`n${n}`))
  const held: (() => void)[] = []
  const adapter: Adapter = () => new Promise<void>((resolve) => held.push(resolve))
  const { all, of } = swept({ adapter, sendsMax: 3, pauseMs: 60_000 }, ...folders)

  for (let rest = 6; rest > 0; rest -= 3) {
    await until(() => held.length === 3)
    if (rest === 6) await all.round()
    expect(held).toHaveLength(3)
    for (const release of held.splice(0)) release()
  }
  await until(() => of('delivered').length === 6)
})

test('a failing folder does not stop others, is reported once, and continues when it is repaired [W14]', async () => {
  const bad = answered()
  const good = answered()
  const outbound = openDb(join(bad, 'outbound.db')).serialize()
  writeFileSync(join(bad, 'outbound.db'), 'no database at all, but long enough to look like one '.repeat(100))
  const sent: string[] = []
  const { all, of } = swept({ adapter: (_, { idempotencyKey }) => void sent.push(idempotencyKey) }, bad, good)

  await until(() => sent.length === 1)
  await all.round()
  await all.round()
  expect(of('trouble')).toEqual([
    {
      type: 'trouble',
      folder: bad,
      error: expect.stringMatching(/outbound\.db: it is not an SQLite database/),
    },
  ])
  writeFileSync(join(bad, 'outbound.db'), outbound)
  await until(() => sent.length === 2)
})

test('a new folder is created, a removed one is ignored, and stop() waits for running sends', async () => {
  const fresh = join(tempDir(), 'fresh')
  const gone = answered('gone')
  let begun = 0
  let ended = 0
  const adapter: Adapter = async () => {
    begun++
    await new Promise((resolve) => setTimeout(resolve, 20))
    ended++
  }
  const { all } = swept({ adapter }, fresh)
  await all.round()
  expect(existsSync(join(fresh, 'inbound.db'))).toBe(true)

  all.add(gone)
  await until(() => begun === 1)
  await all.remove(gone)
  expect(ended).toBe(1)
  reply(gone, 'm:1', 'too late')
  await all.round()
  expect(() => all.host(gone)).toThrow(/is not swept/)

  reply(fresh, 'x:0', 'last')
  await until(() => begun === 2)
  await all.stop()
  expect(ended).toBe(2)
  await all.stop()
})

test('a lock on outbound.db delays a folder by moments, however long the rounds are [159]', async () => {
  const dir = answered()
  const outbound = openDb(join(dir, 'outbound.db'))
  outbound.exec('begin exclusive')
  const { of } = swept({ pauseMs: 3_600_000 }, dir)
  await until(() => of('trouble').length > 0)
  outbound.exec('commit')
  await until(() => of('synced').length > 0)
  expect(of('synced')).toMatchObject([{ completed: 1 }])
})
