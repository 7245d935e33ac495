// One runtime, many idle session folders: memory, descriptors, processor time and start, beside a runtime of
// one folder.
//   npm run bench:workspaces -- [--folders 1000] [--seconds 10] [--save]
// Each folder has an inbound.db of its host and is served for the second time, as after a restart: the first
// start makes outbound.db, which is a matter of the disk. The last commit of each host is older than
// `afterMs` of REST_TIMES (runtime/workspace.ts).
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { HOST_TABLES } from '../runtime/protocol/schema.ts'
import { enqueue, NOOP, pause, ROOT, scratch } from './lab.ts'
import { atEnd } from './leave.ts'
import { machine } from './limits.ts'
import { cpuMs } from './proc.ts'
import { save } from './results.ts'
import { print, type Row, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    folders: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '10' },
    save: { type: 'boolean', default: false },
  },
})
const count = Number(values.folders)
const seconds = Number(values.seconds)
/**
 * After the last start: by then the folders are at rest (workspace.ts), and so is the heap: V8 gives back
 * what the start took.
 */
const SETTLED_MS = 40_000

interface Measured {
  readonly startMs: number
  readonly rssKiB: number
  readonly descriptors: number
  readonly cpuShare: number
  readonly children: number
  readonly stopMs: number
}

const before = machine()
const root = scratch('workspaces')
const removed = atEnd(() => rmSync(root, { recursive: true, force: true }))
try {
  mkdirSync(join(root, 'functions'))
  for (const [file, source] of Object.entries(NOOP)) writeFileSync(join(root, 'functions', file), source)
  makeFolders('one', 1)
  makeFolders('many', count)
  const fresh = await measure('many', count, 0)
  await measure('one', 1, 0)
  const one = await measure('one', 1, seconds)
  const many = await measure('many', count, seconds)
  const each = (of: (measured: Measured) => number) => (of(many) - of(one)) / (count - 1)
  const row = (what: string, unit: string, value: number, bounds?: { must: number; goal: number }): Row => ({
    what,
    unit,
    ours: spread([value]),
    ...(bounds && { target: { value, unit, better: 'less', ...bounds } }),
  })
  const rows = [
    row(
      'memory for each folder',
      'KiB',
      each(({ rssKiB }) => rssKiB),
      { must: 100, goal: 60 },
    ),
    row('memory of the process with one folder', 'MiB', one.rssKiB / 1024),
    row('memory of the process with all', 'MiB', many.rssKiB / 1024),
    row(
      'file descriptors for each folder',
      '',
      each(({ descriptors }) => descriptors),
    ),
    row(`processor time over ${seconds} s, of one core`, '%', many.cpuShare * 100, { must: 2, goal: 1 }),
    row('the same with one folder', '%', one.cpuShare * 100),
    row('child processes', '', many.children),
    row('start until the last folder is served', 's', many.startMs / 1_000),
    row('the same for folders without outbound.db', 's', fresh.startMs / 1_000),
    row('stop', 's', many.stopMs / 1_000),
  ]
  console.log(`\n${count} idle folders`)
  print(rows)
  console.log(`\n${JSON.stringify(before)}`)
  if (values.save) save('workspaces', before, rows)
} finally {
  rmSync(root, { recursive: true, force: true })
  removed()
}

function makeFolders(name: string, folders: number): void {
  const pattern = join(root, `${name}-pattern`)
  mkdirSync(pattern)
  const db = new Database(join(pattern, 'inbound.db'))
  db.exec(HOST_TABLES)
  enqueue(db, 1)
  db.exec("update messages_in set status = 'completed'")
  db.close()
  const longAgo = new Date(Date.now() - 60_000)
  utimesSync(join(pattern, 'inbound.db'), longAgo, longAgo)
  for (let n = 0; n < folders; n++)
    cpSync(pattern, join(root, name, `session-${n}`), { recursive: true, preserveTimestamps: true })
}

async function measure(name: string, folders: number, forSeconds: number): Promise<Measured> {
  const main = join(ROOT, 'dist/bin/main.js')
  const fromMs = performance.now()
  const child = spawn(process.execPath, [main, 'start', '--workspaces', `${name}/session-*`], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  const killed = atEnd(() => child.kill('SIGKILL'))
  const pid = child.pid ?? 0
  let started = 0
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      started += text.split('"msg":"started"').length - 1
      if (started >= folders) resolve()
    })
    exited.then(([code]) => reject(new Error(`the runtime ended with ${code}`)))
  })
  const startMs = performance.now() - fromMs
  await pause(forSeconds === 0 ? 0 : SETTLED_MS)
  const fromCpuMs = cpuMs(pid)
  await pause(forSeconds * 1_000)
  const measured = {
    startMs,
    rssKiB: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    cpuShare: forSeconds === 0 ? 0 : (cpuMs(pid) - fromCpuMs) / (forSeconds * 1_000),
    children: readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).length,
  }
  const stopFromMs = performance.now()
  child.kill('SIGTERM')
  await exited
  killed()
  return { ...measured, stopMs: performance.now() - stopFromMs }
}
