// What every benchmark needs: a fresh project, the runtime as users run it (a process of its own, compiled), the machine's
// own limits measured in the same run, and a way to keep results. Nothing here is part of the product.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { HOST_TABLES, WIRE_TABLES } from '../runtime/protocol/schema.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

export interface Lab {
  readonly root: string
  readonly workspace: string
  readonly inbound: Database.Database
  /** Starts the runtime and waits until it has started; resolves to a way to end it. */
  runtime(...flags: string[]): Promise<{ readonly child: ChildProcess; stop(): Promise<void> }>
  outbound(): Database.Database
  close(): void
}

/** A project with these functions, in a folder on a real disk. */
export function lab(functions: Readonly<Record<string, string>>): Lab {
  const root = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'nanoclaw-bench-'))
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
    async runtime(...flags) {
      const args = [
        join(ROOT, 'dist/cli/main.js'),
        'start',
        '--workspace',
        workspace,
        '--log-level',
        'info',
        ...flags,
      ]
      const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
      let said = ''
      await new Promise<void>((resolve, reject) => {
        child.stderr.on('data', (data) => {
          said += data
          if (said.includes('"msg":"started"')) resolve()
        })
        child.once('exit', (code) => reject(new Error(`the runtime ended with ${code}: ${said}`)))
      })
      return {
        child,
        async stop() {
          child.kill('SIGTERM')
          await once(child, 'exit')
        },
      }
    },
    outbound: () => new Database(join(workspace, 'outbound.db'), { readonly: true, fileMustExist: true }),
    close() {
      inbound.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** Inserts messages in one transaction, as a host does; `row` gives what differs. */
export function enqueue(
  db: Database.Database,
  count: number,
  row: (n: number) => { id?: string; kind?: string; thread?: string | null; content?: string } = () => ({}),
): void {
  const last = (db.prepare('select coalesce(max(seq), 0) from messages_in').pluck().get() as number) & ~1
  const insert = db.prepare(
    'insert into messages_in (id, seq, kind, timestamp, thread_id, content) values (?, ?, ?, ?, ?, ?)',
  )
  const timestamp = new Date().toISOString()
  db.transaction(() => {
    for (let n = 0; n < count; n++) {
      const {
        id = `m-${String(last / 2 + n).padStart(9, '0')}`,
        kind = 'noop',
        thread = null,
        content = '{"text":"hello"}',
      } = row(n)
      insert.run(id, last + 2 + 2 * n, kind, timestamp, thread, content)
    }
  })()
}

/** Waits until `count` messages are completed; returns when the last one was seen (milliseconds, monotonic). */
export async function completed(lab: Lab, count: number, deadlineMs = 120_000): Promise<number> {
  const db = lab.outbound()
  const highest = db.prepare('select count(*) from processing_ack where status = ?').pluck()
  const rows = db.prepare('select max(rowid) from processing_ack').pluck()
  const endMs = performance.now() + deadlineMs
  try {
    for (;;) {
      // Counting is a scan: only when there are enough acks of any state.
      if (((rows.get() as number | null) ?? 0) >= count && highest.get('completed') === count)
        return performance.now()
      if (performance.now() > endMs)
        throw new Error(`${highest.get('completed')} of ${count} completed after ${deadlineMs} ms`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  } finally {
    db.close()
  }
}

/** Milliseconds of one 4 KiB write with fsync: the coin in which durable work is paid. */
export function fsyncMs(times = 200): number[] {
  const path = join(mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'nanoclaw-fsync-')), 'file')
  const file = openSync(path, 'w')
  const page = Buffer.alloc(4096, 7)
  const taken: number[] = []
  for (let n = 0; n < times; n++) {
    const startMs = performance.now()
    writeSync(file, page, 0, page.length, 0)
    fsyncSync(file)
    taken.push(performance.now() - startMs)
  }
  closeSync(file)
  rmSync(dirname(path), { recursive: true })
  return taken
}

/** Messages a second of the least that the design needs: claim a batch, then complete it with one reply each, two transactions. */
export function twoTransactions(count: number, batch: number, journal: 'delete' | 'wal' = 'delete'): number {
  const dir = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'nanoclaw-floor-'))
  const db = new Database(join(dir, 'outbound.db'))
  db.pragma(`journal_mode = ${journal}`)
  db.pragma('synchronous = full')
  db.exec(WIRE_TABLES)
  const claim = db.prepare("insert into processing_ack values (?, 'processing', ?)")
  const finish = db.prepare(
    "update processing_ack set status = 'completed', status_changed = ? where message_id = ?",
  )
  const reply = db.prepare(
    'insert into messages_out (id, seq, in_reply_to, timestamp, kind, content) values (?, ?, ?, ?, \'chat\', \'{"text":"hello"}\')',
  )
  const startMs = performance.now()
  for (let from = 0; from < count; from += batch) {
    const ids = Array.from(
      { length: Math.min(batch, count - from) },
      (_, n) => `m-${String(from + n).padStart(9, '0')}`,
    )
    const now = new Date().toISOString()
    db.transaction(() => ids.forEach((id) => claim.run(id, now)))()
    db.transaction(() =>
      ids.forEach((id, n) => {
        finish.run(now, id)
        reply.run(`${id}:0`, 2 * (from + n) + 1, id, now)
      }),
    )()
  }
  const rate = count / ((performance.now() - startMs) / 1000)
  db.close()
  rmSync(dir, { recursive: true, force: true })
  return rate
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

/** Median with minimum and maximum: how every figure is told. */
export function spread(values: readonly number[]): { median: number; min: number; max: number } {
  return { median: percentile(values, 0.5), min: Math.min(...values), max: Math.max(...values) }
}

export function machine(): Record<string, unknown> {
  const [cpu] = cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpu?.model,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    sqlite: new Database(':memory:').prepare('select sqlite_version()').pluck().get(),
    fsyncMs: { p50: round(percentile(fsyncMs(), 0.5)), p99: round(percentile(fsyncMs(), 0.99)) },
  }
}

export function keep(name: string, result: unknown): void {
  const path = join(ROOT, 'bench/results', `${name}.json`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify({ machine: machine(), ...(result as object) }, null, 2)}\n`)
}

export function round(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3))
}

/** A table for people, on stdout. */
export function print(title: string, rows: readonly (readonly (string | number)[])[]): void {
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => String(row[at]).length))) ?? []
  console.log(`\n${title}`)
  for (const row of rows)
    console.log(
      `  ${row.map((cell, at) => (at === 0 ? String(cell).padEnd(widths[at]!) : String(cell).padStart(widths[at]!))).join('   ')}`,
    )
}
