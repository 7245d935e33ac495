// What every benchmark needs: a fresh project, the runtime as users run it (a process of its own, compiled),
// messages, and a way to know when they are done. Nothing here is part of the product.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { HOST_TABLES } from '../runtime/protocol/schema.ts'
import { atEnd } from './leave.ts'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
export const NOOP = { 'noop.js': `export default () => 'hello'` }

export interface Lab {
  readonly root: string
  readonly workspace: string
  readonly inbound: Database.Database
  /** Starts the runtime and waits until it has started. */
  runtime(...flags: string[]): Promise<Running>
  /** The same, and its node leaves a CPU profile in this folder when it ends. */
  profiled(folder: string): Promise<Running>
  outbound(): Database.Database
  close(): void
}

export interface Running {
  readonly child: ChildProcess
  readonly pid: number
  /** From the spawn to the log line `started`. */
  readonly startMs: number
  stop(): Promise<void>
}

/** A folder on a real disk: BENCH_DIR, or where the system keeps temporary files. */
export function scratch(name: string): string {
  return mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), `nanoclaw-bench-${name}-`))
}

/** A project with these functions. */
export function lab(functions: Readonly<Record<string, string>>): Lab {
  const root = scratch('lab')
  const closed = atEnd(() => rmSync(root, { recursive: true, force: true }))
  const workspace = join(root, 'workspace')
  mkdirSync(join(root, 'functions'))
  mkdirSync(workspace)
  for (const [file, source] of Object.entries(functions)) writeFileSync(join(root, 'functions', file), source)
  const inbound = new Database(join(workspace, 'inbound.db'))
  inbound.pragma('synchronous = full')
  inbound.exec(HOST_TABLES)
  return {
    root,
    workspace,
    inbound,
    runtime: (...flags) => start(root, workspace, flags, []),
    profiled: (folder) => start(root, workspace, [], ['--cpu-prof', `--cpu-prof-dir=${folder}`]),
    outbound: () => new Database(join(workspace, 'outbound.db'), { readonly: true, fileMustExist: true }),
    close() {
      inbound.close()
      rmSync(root, { recursive: true, force: true })
      closed()
    },
  }
}

async function start(
  root: string,
  workspace: string,
  flags: readonly string[],
  nodeFlags: readonly string[],
): Promise<Running> {
  const main = join(ROOT, 'dist/bin/main.js')
  const args = [...nodeFlags, main, 'start', '--workspace', workspace, '--log-level', 'info', ...flags]
  const fromMs = performance.now()
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  const ended = atEnd(() => child.kill('SIGKILL'))
  let said = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (data) => {
      said = (said + data).slice(-10_000)
      if (said.includes('"msg":"started"')) resolve()
    })
    exited.then(([code]) => reject(new Error(`the runtime ended with ${code}: ${said}`)))
  })
  return {
    child,
    pid: child.pid ?? 0,
    startMs: performance.now() - fromMs,
    async stop() {
      child.kill('SIGTERM')
      await exited
      ended()
    },
  }
}

/** What differs from one message to the next. */
export interface Sent {
  readonly id?: string
  readonly kind?: string
  readonly thread?: string | null
  readonly content?: string
}

/** Inserts messages in one transaction, as a host does. */
export function enqueue(db: Database.Database, count: number, row: (n: number) => Sent = () => ({})): void {
  const last = (db.prepare('select coalesce(max(seq), 0) from messages_in').pluck().get() as number) & ~1
  const insert = db.prepare(
    'insert into messages_in (id, seq, kind, timestamp, thread_id, content) values (?, ?, ?, ?, ?, ?)',
  )
  const timestamp = new Date().toISOString()
  const all = db.transaction(() => {
    for (let n = 0; n < count; n++) {
      const {
        id = timeOrderedId(last / 2 + n),
        kind = 'noop',
        thread = null,
        content = '{"text":"hello"}',
      } = row(n)
      insert.run(id, last + 2 + 2 * n, kind, timestamp, thread, content)
    }
  })
  all.immediate()
}

export function timeOrderedId(n: number): string {
  return `m-${String(n).padStart(9, '0')}`
}

/**
 * Messages a second, from the commit that brings all of them to the last of their replies. Each must have
 * one.
 */
export async function rate(bench: Lab, count: number, row?: (n: number) => Sent): Promise<number> {
  const before = await answered(bench, 0)
  enqueue(bench.inbound, count, row)
  const startMs = performance.now()
  await answered(bench, before + count)
  return count / ((performance.now() - startMs) / 1000)
}

const LOOK_EVERY_MS = 10
const DEADLINE_MS = 120_000

/** Waits for so many replies; says how many there are. */
export async function answered(bench: Lab, count: number): Promise<number> {
  const outbound = bench.outbound()
  const replies = outbound.prepare('select coalesce(max(rowid), 0) from messages_out').pluck()
  const startMs = performance.now()
  try {
    for (;;) {
      const answers = replies.get() as number
      if (answers >= count) return answers
      if (performance.now() - startMs > DEADLINE_MS)
        throw new Error(`${answers} of ${count} replies after ${DEADLINE_MS} ms`)
      await pause(LOOK_EVERY_MS)
    }
  } finally {
    outbound.close()
  }
}

/** Runs it on a fresh project whose runtime is up and has run one message. */
export async function withRuntime<T>(
  functions: Readonly<Record<string, string>>,
  flags: readonly string[],
  work: (lab: Lab, running: Running) => Promise<T> | T,
): Promise<T> {
  const bench = lab(functions)
  try {
    const running = await bench.runtime(...flags)
    try {
      const [kind = ''] = Object.keys(functions).map((file) => file.replace(/\.\w+$/, ''))
      await rate(bench, 1, () => ({ id: 'first', kind }))
      return await work(bench, running)
    } finally {
      await running.stop()
    }
  } finally {
    bench.close()
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
