// What hosts do to inbound.db when they are slow or die, for `conform`: it plays such a host to see how a
// runtime takes it.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { openWritable } from './open.ts'

const BUSY_MS = 5_000

/**
 * Begins a transaction that outgrows a tiny cache, so that half of it is in the file before its commit.
 * A process that is killed while it is open leaves a journal that only a writer may play back. It is open for
 * as long as `hold` keeps it.
 */
export function spillTransaction(path: string): { readonly hold: unknown } {
  const db = openWritable(path, 'delete', { busyMs: BUSY_MS })
  db.pragma('cache_size = 5')
  db.exec(`
    begin immediate;
    update messages_in set content = content || ' ';
    with recursive n (i) as (select 1 union all select i + 1 from n where i < 400)
    insert into messages_in (id, kind, timestamp, content)
      select 'never committed ' || i, 'never', '2026-01-01T00:00:00Z', json_quote(hex(randomblob(1000))) from n;`)
  return { hold: db }
}

/** No other handle can read the file until it is released. */
export function lockOut(path: string): { release(): void } {
  const db = openWritable(path, 'delete', { busyMs: BUSY_MS })
  db.exec('begin exclusive')
  return {
    release() {
      db.exec('rollback')
      db.close()
    },
  }
}

/**
 * The bytes of a database and of what lies beside it, in one text. Only for a file that this process has no
 * handle on: closing a descriptor of it would drop the locks of that handle.
 */
export function fingerprint(path: string): string {
  const beside = readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}-`))
  const files = existsSync(path) ? [basename(path), ...beside] : beside
  return files
    .sort()
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(bytesOf(join(dirname(path), name)))
          .digest('hex')}`,
    )
    .join('\n')
}

/** A journal may go between the listing and the reading. */
function bytesOf(path: string): Uint8Array {
  return existsSync(path) ? readFileSync(path) : new Uint8Array()
}
