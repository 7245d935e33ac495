// A container shares the session folder and is not trusted: it may replace a file that the host has just
// checked. The other side is a real process that does so as fast as it can, or the test itself, at the
// critical moment.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { attach } from '../../runtime/host/attachments.ts'
import { FolderHandle } from '../../runtime/host/folder-handle.ts'
import { clearFiles, handOver } from '../../runtime/host/outgoing.ts'
import { attacker } from '../support/attacker.ts'
import { delivered, reply, settled, start } from '../support/deliver.ts'
import { tempDir } from '../support/files.ts'
import { hostFixture } from '../support/host.ts'

/** Each with ten files: between the look at them and the last read there is time for many swaps. */
const ROUNDS = 100
const FILES = 10

/** A folder of the host's own that a link may lead to. */
function hostsOwn(): string {
  const dir = tempDir()
  writeFileSync(join(dir, 'a.txt'), 'of the host')
  return dir
}

const untouched = (dir: string) => {
  expect(readdirSync(dir)).toEqual(['a.txt'])
  expect(readFileSync(join(dir, 'a.txt'), 'utf8')).toBe('of the host')
}

const message = {
  id: 'm',
  kind: 'chat',
  content: '{}',
} as Parameters<typeof attach>[1]

test('a link that replaces inbox/<id> while files are written receives none of them [108]', () => {
  const dir = tempDir()
  const target = hostsOwn()
  const folder = join(dir, 'inbox', 'm')
  mkdirSync(folder, { recursive: true })
  let reads = 0
  const file = {
    name: 'a.txt',
    // Read once when it is checked and once when it is written: by then the folder has been looked at.
    get data() {
      if (++reads === 2) {
        renameSync(folder, `${folder}.aside`)
        symlinkSync(target, folder)
      }
      return Buffer.from('of the message')
    },
  }
  attach(dir, message, [file])
  expect(reads).toBe(2)
  untouched(target)
  expect(readFileSync(join(`${folder}.aside`, 'a.txt'), 'utf8')).toBe('of the message')
})

test('a file of a reply that becomes a link or a hard link after it was passed on is not read [109]', async () => {
  const fixture = hostFixture()
  const secret = join(hostsOwn(), 'a.txt')
  const folder = join(fixture.dir, 'outbox', 'r')
  mkdirSync(folder, { recursive: true })
  const files = ['link', 'hard', 'fine', 'empty']
  for (const name of files) writeFileSync(join(folder, name), name === 'empty' ? '' : `content of ${name}`)
  reply(fixture, 'r', { content: JSON.stringify({ files }) })
  const seen: string[] = []
  const { events } = start(fixture, async (out) => {
    for (const name of ['link', 'hard']) rmSync(join(folder, name), { force: true })
    symlinkSync(secret, join(folder, 'link'))
    linkSync(join(fixture.dir, 'inbound.db'), join(folder, 'hard'))
    for (const file of out.files) {
      const ends = await Promise.allSettled([
        file.bytes(),
        (async () => Buffer.concat(await file.stream().toArray()))(),
      ])
      seen.push(
        ...ends.map((end) => (end.status === 'fulfilled' ? end.value.toString() : end.reason.message)),
      )
    }
    expect(out.files.map(({ name, size }) => [name, size])).toContainEqual(['fine', 15])
  })
  await settled(() => expect(delivered(fixture)).toHaveLength(1))
  const refused = (name: string) => `${join(folder, name)} is no longer a regular file with one name`
  expect(seen).toEqual([
    ...[refused('link'), refused('link'), refused('hard'), refused('hard')],
    ...['content of fine', 'content of fine', '', ''],
  ])
  expect(events.map(({ type }) => type)).toEqual(['delivered'])
})

test('a reply keeps the folder of its attempt, and its files are unreadable once that has ended [109]', async () => {
  const fixture = hostFixture()
  const target = hostsOwn()
  const folder = join(fixture.dir, 'outbox', 'r')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'a.txt'), 'of the reply')
  reply(fixture, 'r', { content: JSON.stringify({ files: ['a.txt'] }) })
  const seen: string[] = []
  let late: () => Promise<unknown> = async () => undefined
  start(fixture, async ({ files: [file] }) => {
    renameSync(folder, `${folder}.aside`)
    symlinkSync(target, folder)
    seen.push((await file!.bytes()).toString())
    late = () => file!.bytes()
  })
  await settled(() => expect(delivered(fixture)).toHaveLength(1))
  expect(seen).toEqual(['of the reply'])
  await expect(late()).rejects.toThrow(/a\.txt was read after the attempt to send its reply had ended/)
  await settled(() => expect(existsSync(folder)).toBe(false))
  untouched(target)
})

test('a process that swaps a file for a link all the time gets no secret sent [109]', async () => {
  const dir = tempDir()
  const secret = join(hostsOwn(), 'a.txt')
  const folder = join(dir, 'outbox', 'r')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'a.txt'), 'of the reply')
  await attacker('swap', join(folder, 'a.txt'), secret)
  const row = { id: 'r', content: JSON.stringify({ files: Array(FILES).fill('a.txt') }) } as Parameters<
    typeof handOver
  >[1]
  const seen = new Set<string>()
  // Until both ends were seen: which of them a round meets is the other process's doing.
  for (let round = 0; round < ROUNDS || !seen.has('of the reply'); round++) {
    const { reply, close } = handOver(dir, row)
    for (const file of reply.files) seen.add(await file.bytes().then(String, () => 'refused'))
    close()
  }
  expect(seen).not.toContain('of the host')
})

test('only regular files with one name are passed on: no links, FIFOs, devices, sockets, folders [109]', async () => {
  const fixture = hostFixture()
  const folder = join(fixture.dir, 'outbox', 'r')
  mkdirSync(join(folder, 'folder'), { recursive: true })
  writeFileSync(join(folder, 'a.txt'), '')
  writeFileSync(join(folder, 'two names'), '')
  linkSync(join(folder, 'two names'), join(folder, 'the other'))
  symlinkSync('a.txt', join(folder, 'link'))
  const fifo = spawn('mkfifo', [join(folder, 'fifo')])
  await once(fifo, 'exit')
  const files = ['a.txt', 'two names', 'the other', 'link', 'fifo', 'folder']
  reply(fixture, 'r', { content: JSON.stringify({ files }) })
  const handed: string[] = []
  start(fixture, (out) => void handed.push(...out.files.map(({ name }) => name)))
  await settled(() => expect(delivered(fixture)).toHaveLength(1))
  expect(handed).toEqual(['a.txt'])
})

test('files that are removed after a delivery are those of the reply, also when a link takes their place meanwhile [110]', async () => {
  const dir = tempDir()
  const folder = join(dir, 'outbox', 'r')
  const target = tempDir()
  mkdirSync(folder, { recursive: true })
  const names = Array.from({ length: 4_000 }, (_, n) => `f-${n}`)
  for (const name of names) writeFileSync(join(folder, name), '')
  for (const name of names) writeFileSync(join(target, name), '')
  const child = await attacker('trap', folder, target)
  clearFiles(dir, 'r')
  if (child.exitCode === null) await once(child, 'exit')
  expect(readdirSync(target)).toHaveLength(names.length)
})

test('prune continues where a process keeps filling the folder of a message, and names that message [111]', async () => {
  const { dir, host, ack, setTime, inbound } = hostFixture()
  for (const id of ['flooded', 'quiet', 'last']) {
    host.enqueue({ id, kind: 'chat', content: {}, attachments: [{ name: 'a.txt', data: Buffer.from('') }] })
    if (id !== 'last') ack(id, 'completed')
  }
  host.sync()
  setTime('2027-01-01T00:00:00Z')
  const folder = join(dir, 'inbox', 'flooded')
  const child = await attacker('flood', folder)
  const report = host.prune({ olderThan: '1d' })
  const left = inbound.prepare('select id from messages_in order by seq').pluck()
  const stuck = report.stuck?.map(({ id }) => id) ?? []
  expect(left.all()).toEqual([...stuck, 'last'])
  expect(report.messages).toBe(2 - stuck.length)
  expect(existsSync(join(dir, 'inbox', 'quiet'))).toBe(false)

  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(host.prune({ olderThan: '1d' })).toEqual({ readable: true, messages: stuck.length, deliveries: 0 })
  expect(left.all()).toEqual(['last'])
  if (stuck.length > 0) expect(existsSync(folder)).toBe(false)
})

test('files of a handler are removed whatever they are: deep folders, names that are not text, links [111]', () => {
  const dir = tempDir()
  const target = hostsOwn()
  const top = join(dir, 'outbox', 'r')
  mkdirSync(join(top, ...Array.from({ length: 50 }, () => 'deep')), { recursive: true })
  mkdirSync(join(top, 'wide', 'a'), { recursive: true })
  symlinkSync(target, join(top, 'wide', 'a', 'link'))
  writeFileSync(Buffer.concat([Buffer.from(`${top}/wide/`), Buffer.from([0xff, 0xfe])]), '')
  writeFileSync(join(top, 'wide', 'a\\b'), '')
  clearFiles(dir, 'r')
  expect(existsSync(top)).toBe(false)
  untouched(target)
})

test('without /proc a folder that was replaced since it was opened is rejected', () => {
  const dir = tempDir()
  mkdirSync(join(dir, 'folder'))
  writeFileSync(join(dir, 'folder', 'a.txt'), 'content')
  const parent = FolderHandle.open(dir, '/no/descriptors')
  const folder = parent.folder('folder')!
  onTestFinished(() => {
    folder.close()
    parent.close()
  })
  expect(folder.has('a.txt')).toBe(true)
  renameSync(join(dir, 'folder'), join(dir, 'aside'))
  symlinkSync(hostsOwn(), join(dir, 'folder'))
  expect(() => folder.openFile('a.txt')).toThrow(/folder has been replaced by another folder/)
  expect(parent.folder('folder')).toBeUndefined()
})
