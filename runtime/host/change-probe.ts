// Detects from the file system whether a session's two files may have been written since the last read: three
// stat calls, microseconds, no handle. False positives are allowed, false negatives are not.
//
// Why that is safe with a rollback journal: a commit writes the pages of the database file while it shuts
// readers out, so what was written before a read is in it, and a later write changes the file's times. The
// probe is taken BEFORE the read. Three holes are closed here:
//   - times are coarse: a commit in the same tick as the probe leaves them unchanged. A file that was written
//     less than RACY_MS ago always counts as changed;
//   - a commit in WAL mode is readable only some time after its bytes are written, and some mounts show old
//     times for a while: a probe is trusted for at most TRUST_MS;
//   - a file may be replaced by another: the inode is compared, too.
import { statSync } from 'node:fs'
import { join } from 'node:path'

/** Longer than a tick of any file system's clock (FAT counts in two seconds). */
const RACY_MS = 2_500
/**
 * nanoclaw's own hosts read each session once a minute; a change that a probe misses is found within the same
 * time.
 */
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

  /** Take it before reading, and pass it to `read` after the whole read has succeeded. */
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

  /** False: the files are as they were at the last read. */
  isNews(look: ProbeResult): boolean {
    const known = this.#known
    return !known || known.text !== look.text || Math.abs(look.atMs - known.atMs) > TRUST_MS
  }

  read(look: ProbeResult): void {
    this.#known = look.atMs - look.writtenAtMs > RACY_MS ? look : undefined
  }
}
