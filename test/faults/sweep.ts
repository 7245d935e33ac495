// npm run faults:syscalls -- --every 5 --calls fsync,pwrite64 One failure in one life, at every place where
// the disk can give one: the n-th call of a kind on outbound.db or its journal fails, for n = 1, 1 + every,
// …; or the runtime is killed in place of it, between any two steps of a commit. Whatever comes of it (it
// holds and goes on, or ends and is started again), each message must have ended once, with its replies once,
// in a sound file. Needs strace and a build.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { canTrace, type Injection, signalTraced, tracer } from '../support/strace.ts'

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const FAILURES = [
  ['pwrite64', 'ENOSPC'],
  ['pwrite64', 'EIO'],
  ['fsync', 'EIO'],
  ['pread64', 'EIO'],
  ['unlink', 'EIO'],
  ['openat', 'EMFILE'],
  ...['openat', 'pwrite64', 'fsync', 'unlink'].map((call) => [call, 'SIGKILL'] as const),
] as const
const MESSAGES = 8
const LIFE_MAX_MS = 60_000
const WORK = `export default { retry: { attempts: 3, minDelay: 1 }, handler(message, ctx) {
  ctx.reply('one')
  if (message.content.n % 4 === 3 && ctx.attempt === 1) throw new Error('not yet')
  return 'two'
} }`

const { values } = parseArgs({
  options: {
    every: { type: 'string', default: '5' },
    calls: { type: 'string', default: FAILURES.map(([call]) => call).join() },
    failures: { type: 'string', default: FAILURES.map(([, failure]) => failure).join() },
  },
})
if (!canTrace()) throw new Error('This needs strace, and leave to trace.')
const every = Number(values.every)
let violations = 0
const chosen = FAILURES.filter(
  ([call, failure]) => values.calls.split(',').includes(call) && values.failures.split(',').includes(failure),
)
console.log('call      failure  calls  places  lived on  ended  with a journal')
for (const [call, failure] of chosen) {
  const calls = (await play({ call, failure, when: '60000' })).calls
  const counts = { lived: 0, ended: 0, journals: 0 }
  for (let n = 1; n <= calls; n += every) {
    const { exits, journal, problems } = await play({ call, failure, when: String(n) })
    counts[exits.length === 1 ? 'lived' : 'ended']++
    if (journal) counts.journals++
    if (problems.length > 0) console.log(`${call} ${failure} at ${n}, exits ${exits}: ${problems.join('; ')}`)
    violations += problems.length
  }
  if (counts.ended === 0) {
    console.log(`${call} ${failure}: no life ended of it, so nothing was put in`)
    violations++
  }
  const cells = [calls, counts.lived + counts.ended, counts.lived, counts.ended, counts.journals]
  console.log(
    `${call.padEnd(9)} ${failure.padEnd(8)} ${cells.map((cell) => String(cell).padStart(6)).join('  ')}`,
  )
}
console.log(violations === 0 ? 'no message lost, none run or answered twice' : `${violations} violations`)
process.exitCode = violations === 0 ? 0 : 1

async function play(injection: Injection) {
  const root = mkdtempSync(join(tmpdir(), 'nanoclaw-sweep-'))
  try {
    const outbound = join(root, 'ws', 'outbound.db')
    fill(root)
    const exits = [await live(root, tracer(outbound, [injection], join(root, 'trace')))]
    const calls = readFileSync(join(root, 'trace'), 'utf8')
      .split('\n')
      .filter((line) => line.includes(` ${injection.call}(`)).length
    const journal = existsSync(`${outbound}-journal`)
    if (exits[0] !== 0) exits.push(await live(root, []))
    return { calls, exits, journal, problems: judge(outbound, exits) }
  } finally {
    rmSync(root, { recursive: true })
  }
}

function fill(root: string): void {
  mkdirSync(join(root, 'functions'))
  mkdirSync(join(root, 'ws'))
  writeFileSync(join(root, 'functions', 'work.js'), WORK)
  const db = new Database(join(root, 'ws', 'inbound.db'))
  db.exec(
    'create table messages_in (id text primary key, seq integer unique, kind text, timestamp text, status text, thread_id text, content text)',
  )
  const insert = db.prepare("insert into messages_in values (?, ?, 'work', '2026-11-24', 'pending', ?, ?)")
  for (let n = 0; n < MESSAGES; n++) insert.run(`m-${n}`, 2 * n + 2, `t${n % 3}`, JSON.stringify({ n }))
  db.close()
}

/**
 * One life, stopped when it has started and all messages have ended; its exit code, -1 for one that was
 * killed.
 */
async function live(root: string, before: readonly string[]): Promise<number> {
  const args = [...before, process.execPath, CLI, 'start', '--workspace', join(root, 'ws')]
  const child = spawn(args[0]!, args.slice(1), { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
  let started = false
  child.stderr.on('data', (lines: Buffer) => {
    started ||= lines.includes('"msg":"started"')
  })
  const signal = (name: NodeJS.Signals) =>
    before.length > 0 ? signalTraced(child.pid!, name) : child.kill(name)
  const exit = once(child, 'exit').then(([code]) => Number(code ?? -1))
  const endMs = performance.now() + LIFE_MAX_MS
  for (;;) {
    const code = await Promise.race([exit, pause()])
    if (code !== undefined) return code
    if (started && ended(join(root, 'ws', 'outbound.db')) === MESSAGES) break
    if (performance.now() < endMs) continue
    signal('SIGKILL')
    await exit
    return -2
  }
  signal('SIGTERM')
  return exit
}

function ended(path: string): number {
  return ask(path, "select count(*) from processing_ack where status in ('completed', 'failed')") ?? 0
}

function judge(path: string, exits: readonly number[]): string[] {
  const found = {
    integrity: ask(path, 'pragma integrity_check'),
    completed: ask(path, "select count(*) from processing_ack where status = 'completed'"),
    acks: ask(path, 'select count(*) from processing_ack'),
    replies: ask(path, 'select count(*) from messages_out'),
    answered: ask(path, 'select count(distinct in_reply_to) from messages_out'),
    // A message that runs again has another recorded run; one life repeats only what its handler requested.
    ...(exits.length === 1 && { runs: ask(path, 'select count(*) from nanoclaw_run') }),
  }
  const expected: Readonly<Record<string, unknown>> = {
    integrity: 'ok',
    completed: MESSAGES,
    acks: MESSAGES,
    replies: 2 * MESSAGES,
    answered: MESSAGES,
    runs: MESSAGES + MESSAGES / 4,
  }
  const wrong = Object.entries(found).filter(([name, value]) => value !== expected[name])
  const last = exits.at(-1)
  return [
    ...wrong.map(([name, value]) => `${name} is ${value}, expected ${expected[name]}`),
    ...(last === 0 ? [] : [`its last life ended with ${last}`]),
  ]
}

function ask(path: string, sql: string): any {
  try {
    const db = new Database(path, { readonly: true, timeout: 2_000 })
    try {
      return db.prepare(sql).pluck().get()
    } finally {
      db.close()
    }
  } catch {
    return undefined
  }
}

function pause(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), 50))
}
