// Whether anything may have been written to a session's two files since they were last read, told from what the file system
// says about them: three calls, microseconds, no handle. It may say yes without need; it may not say no when there is news.
//
// Why that is safe with a rollback journal: a commit writes the pages of the database file while it shuts readers out, so
// what was written before a read is in it, and what is written later moves the file's times. What is looked at is looked at
// BEFORE the read. Three holes are closed here:
//   - times are coarse: a commit in the same tick as the look would leave them as they were. A file that was written less
//     than RACY_MS ago is never taken for known;
//   - a commit in WAL mode is readable only some time after its bytes are written, and some mounts show old times for a
//     while: nothing is taken for known for longer than TRUST_MS;
//   - a file that was put in the place of another: the inode is looked at, too.
import { statSync } from 'node:fs'
import { join } from 'node:path'

/** Longer than a tick of any file system's clock (FAT counts in two seconds). */
const RACY_MS = 2_500
/** Upstream's hosts look at each session once a minute; whatever a look misses is found no later than there. */
const TRUST_MS = 60_000

const FILES = ['inbound.db', 'outbound.db', 'outbound.db-wal'] as const

export interface ProbeResult {
  readonly atMs: number
  readonly text: string
  /** The part of the text that is about inbound.db. */
  readonly inbound: string
  /** The newest modification time of the files; 0 when there are none. */
  readonly writtenAtMs: number
}

export class ChangeProbe {
  readonly #paths: readonly string[]
  #known: ProbeResult | undefined

  constructor(folder: string) {
    this.#paths = FILES.map((file) => join(folder, file))
  }

  /** Take it before reading, and give it to `read` after all of the reading has worked. */
  look(nowMs: number): ProbeResult {
    let writtenAtMs = 0
    const texts = this.#paths.map((path) => {
      const stats = statSync(path, { throwIfNoEntry: false })
      if (!stats) return '-'
      writtenAtMs = Math.max(writtenAtMs, stats.mtimeMs)
      return `${stats.ino},${stats.size},${stats.mtimeMs},${stats.ctimeMs}`
    })
    return { atMs: nowMs, text: texts.join(';'), inbound: texts[0]!, writtenAtMs }
  }

  /** False: what was read last is what stands there. */
  isNews(look: ProbeResult): boolean {
    const known = this.#known
    return !known || known.text !== look.text || Math.abs(look.atMs - known.atMs) > TRUST_MS
  }

  read(look: ProbeResult): void {
    this.#known = look.atMs - look.writtenAtMs > RACY_MS ? look : undefined
  }
}
