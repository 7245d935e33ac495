// What the machine itself can do, measured beside ours in the same run: a disk that is forced to write, the
// least that SQLite needs for the design, and the machine's name.
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { WIRE_TABLES } from '../runtime/protocol/schema.ts'
import { BatchSize } from '../runtime/queue/batch-size.ts'
import { scratch } from './lab.ts'
import { percentile, round } from './table.ts'

/** A file on which one can pay for durability: once with fsync alone, once with a commit of one row. */
export class Durability {
  readonly #dir = scratch('durable')
  readonly #file = openSync(join(this.#dir, 'file'), 'w')
  readonly #page = Buffer.alloc(4096, 7)
  readonly #db = openOutbound(join(this.#dir, 'one.db'), 'delete')
  readonly #insert = this.#db.prepare("insert into processing_ack values (?, 'processing', '')")
  #rows = 0

  /** Milliseconds of one 4 KiB write with fsync. */
  fsyncMs(): number {
    const startMs = performance.now()
    writeSync(this.#file, this.#page, 0, this.#page.length, 0)
    fsyncSync(this.#file)
    return performance.now() - startMs
  }

  /** Milliseconds of a commit of one row, journal DELETE, synchronous FULL. */
  commitMs(): number {
    const startMs = performance.now()
    this.#insert.run(`m-${this.#rows++}`)
    return performance.now() - startMs
  }

  close(): void {
    this.#db.close()
    closeSync(this.#file)
    rmSync(this.#dir, { recursive: true })
  }
}

/** As many as the runtime gives to a quick function in one batch. */
export const BATCH = longestBatch()

/**
 * Messages a second of the least that the design needs: claim a batch, then complete it with one reply each,
 * two transactions.
 */
export function twoTransactions(count: number, journal: 'delete' | 'wal'): number {
  const dir = scratch('floor')
  const db = openOutbound(join(dir, 'outbound.db'), journal)
  const commit = twoCommits(db)
  const startMs = performance.now()
  for (let from = 0; from < count; from += BATCH) commit(from, Math.min(BATCH, count - from))
  const rate = count / ((performance.now() - startMs) / 1000)
  db.close()
  rmSync(dir, { recursive: true, force: true })
  return rate
}

function longestBatch(): number {
  const size = new BatchSize()
  size.learn('noop', 0)
  return size.max('noop')
}

export function openOutbound(path: string, journal: 'delete' | 'wal'): Database.Database {
  const db = new Database(path)
  db.pragma(`journal_mode = ${journal}`)
  db.pragma('synchronous = full')
  db.exec(WIRE_TABLES)
  return db
}

/** The two transactions of one batch: ids from `from` on. */
export function twoCommits(db: Database.Database): (from: number, count: number) => void {
  const claim = db.prepare("insert into processing_ack values (?, 'processing', ?)")
  const finish = db.prepare(
    "update processing_ack set status = 'completed', status_changed = ? where message_id = ?",
  )
  const reply = db.prepare(
    'insert into messages_out (id, seq, in_reply_to, timestamp, kind, content) values (?, ?, ?, ?, \'chat\', \'{"text":"hello"}\')',
  )
  return (from, count) => {
    const ids = Array.from({ length: count }, (_, n) => `m-${String(from + n).padStart(9, '0')}`)
    const now = new Date().toISOString()
    db.transaction(() => ids.forEach((id) => claim.run(id, now)))()
    db.transaction(() =>
      ids.forEach((id, n) => {
        finish.run(now, id)
        reply.run(`${id}:0`, 2 * (from + n) + 1, id, now)
      }),
    )()
  }
}

export function machine(): Record<string, unknown> {
  const [cpu] = cpus()
  const disk = new Durability()
  const fsyncs = Array.from({ length: 200 }, () => disk.fsyncMs())
  disk.close()
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpu?.model,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    sqlite: new Database(':memory:').prepare('select sqlite_version()').pluck().get(),
    fsyncMs: { p50: round(percentile(fsyncs, 0.5)), p99: round(percentile(fsyncs, 0.99)) },
    load: loadavg().map(round),
  }
}
