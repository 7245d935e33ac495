// How long a lone message takes on an idle runtime: from the host's commit to the handler's first line, and
// to the reply that the host can read. Between the messages the disk is asked what a forced write and a
// commit of one row cost it.
import { existsSync, watch } from 'node:fs'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'
import { enqueue, type Lab, pause, withRuntime } from '../lab.ts'
import { Durability } from '../limits.ts'
import { percentile, type Row, round, type Spread, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'

const MESSAGES = 300
const WAL_MESSAGES = 150
const WARM_UP = 20
const PAUSE_MS = 20
/**
 * The host's own poll, should an event get lost. More often, its locks would stand in the way of the commits
 * that it waits for.
 */
const POLL_MS = 100
/** process.hrtime is one clock for all processes of the machine. */
export const STAMP = { 'stamp.js': 'export default () => ({ at: String(process.hrtime.bigint()) })' }

export const latency: Benchmark = {
  name: 'latency',
  async run(world) {
    const disk = new Durability()
    const fsyncs: number[] = []
    const commits: number[] = []
    const { starts, replies } = await idleLatency(world.count(MESSAGES), () => {
      fsyncs.push(disk.fsyncMs())
      commits.push(disk.commitMs())
    })
    disk.close()
    const wal = await idleLatency(world.count(WAL_MESSAGES), () => undefined, ['--journal', 'wal'])
    const fsync = spread(fsyncs)
    const commit = spread(commits)
    const p50 = percentile(starts, 0.5)
    const p99 = percentile(starts, 0.99)
    const reply = percentile(replies, 0.5)
    return [
      {
        what: 'idle pick-up, commit → first line of the handler, p50',
        unit: 'ms',
        ours: alone(p50),
        against: { name: 'one fsync', ...fsync },
        target: { value: round(p50 / fsync.median), unit: 'fsyncs', better: 'less' },
      },
      {
        what: 'the same, p99',
        unit: 'ms',
        ours: { ...alone(p99), max: round(Math.max(...starts)) },
        against: { name: 'one fsync', ...fsync },
        target: {
          value: round(p99),
          unit: 'ms',
          better: 'less',
          must: round(5 + 5 * fsync.median),
          goal: round(3 * p50),
        },
        note: 'must: 5 ms and 5 fsyncs; goal: 3 × its own p50',
      },
      {
        what: 'the pick-up with outbound.db in WAL, p50',
        unit: 'ms',
        ours: alone(percentile(wal.starts, 0.5)),
        against: { name: 'in DELETE', ...alone(p50) },
        target: { value: round(percentile(wal.starts, 0.5) / p50), unit: '×', better: 'less' },
      },
      {
        what: 'commit → reply committed, p50',
        unit: 'ms',
        ours: spread(replies),
        against: { name: 'durable commit of one row', ...commit },
        target: {
          value: round(reply),
          unit: 'ms',
          better: 'less',
          must: round(2 + 8 * fsync.median),
          goal: round(5 * commit.median),
        },
        note: 'must: 8 fsyncs and 2 ms; goal: 5 commits of one row',
      },
    ] satisfies Row[]
  },
}

function alone(value: number): Spread {
  return { median: round(value), min: round(value), max: round(value) }
}

/**
 * Milliseconds of each message, the first few left out. `between`: what else is measured while the runtime is
 * idle.
 */
export function idleLatency(
  count: number,
  between: () => void,
  flags: readonly string[] = [],
): Promise<{ starts: number[]; replies: number[] }> {
  return withRuntime(STAMP, flags, async (bench) => {
    const committedAt: bigint[] = []
    const readAt: bigint[] = []
    const replies = new Replies(bench)
    for (let n = 0; n < WARM_UP + count; n++) {
      enqueue(bench.inbound, 1, () => ({ kind: 'stamp', id: `s-${n}` }))
      committedAt.push(process.hrtime.bigint())
      await replies.reach(n + 2)
      readAt.push(process.hrtime.bigint())
      await pause(PAUSE_MS)
      between()
    }
    replies.close()
    const startedAt = stamps(bench)
    const ms = (from: bigint, to: bigint | undefined) => Number((to ?? 0n) - from) / 1e6
    const measured = committedAt.slice(WARM_UP).map((at, n) => ({
      start: ms(at, startedAt.get(`s-${n + WARM_UP}`)),
      reply: ms(at, readAt[n + WARM_UP]),
    }))
    return { starts: measured.map(({ start }) => start), replies: measured.map(({ reply }) => reply) }
  })
}

/** When the handler of each message began. */
export function stamps(bench: Lab): Map<string, bigint> {
  const outbound = bench.outbound()
  const rows = outbound.prepare('select in_reply_to, content from messages_out').raw().all() as [
    string,
    string,
  ][]
  outbound.close()
  return new Map(rows.map(([id, content]) => [id, BigInt(JSON.parse(content).at)]))
}

/**
 * Waits for replies as a host would to which the system reports each commit. It looks a millisecond
 * later: at once, it would take a processor from the handler whose claim was just committed, and that is
 * measured here, too.
 */
class Replies {
  readonly #db
  readonly #count
  readonly #watch
  #wake: () => void = () => undefined

  constructor(bench: Lab) {
    this.#db = bench.outbound()
    this.#db.pragma('busy_timeout = 0')
    this.#count = this.#db.prepare('select coalesce(max(rowid), 0) from messages_out').pluck()
    const journal = join(bench.workspace, 'outbound.db-journal')
    this.#watch = watch(bench.workspace, (_event, file) => {
      if (file === basename(journal) && !existsSync(journal)) this.#wake()
    })
  }

  async reach(count: number): Promise<void> {
    for (let found = this.#read(); found === undefined || found < count; found = this.#read()) {
      if (found !== undefined) await this.#commit()
      await pause(1)
    }
  }

  close(): void {
    this.#watch.close()
    this.#db.close()
  }

  /** undefined: the lock is still there. */
  #read(): number | undefined {
    try {
      return this.#count.get() as number
    } catch (error) {
      if (error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY') return undefined
      throw error
    }
  }

  #commit(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, POLL_MS)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
