// The runtime's own tables in outbound.db, made or brought up to OWN_VERSION. All of it is part of the
// transaction that opens the file, so a process that is killed in between leaves the file at the version that
// it had.
import { NanoclawError } from '../../protocol/errors.ts'
import { OWN_TABLES, OWN_VERSION, STATE_TABLES, WIRE_TABLES } from '../../protocol/schema.ts'
import type { WritableDb } from './open.ts'

/** Each brings a file of that version to the next one. Before version 2 nothing was published. */
const MIGRATIONS: ReadonlyMap<number, (db: Pick<WritableDb, 'exec' | 'prepare'>) => void> = new Map([
  [2, fromVersion2],
  [3, fromVersion3],
])

/**
 * To be called in a transaction.
 * @throws NanoclawError `outbound_unusable` for a file of a version that this build does not know: it is not
 *   changed
 */
export function makeTables(db: WritableDb): void {
  let version = versionOf(db) ?? OWN_VERSION
  if (version > OWN_VERSION)
    throw unusable(
      db.name,
      `a newer version of nanoclaw-functions`,
      version,
      'Start that version or a newer one',
    )
  for (; version < OWN_VERSION; version++) {
    const migrate = MIGRATIONS.get(version)
    if (!migrate) throw unusable(db.name, 'a version that was never published', version, 'Move the file away')
    migrate(db)
  }
  db.exec(WIRE_TABLES + STATE_TABLES + OWN_TABLES)
  db.exec(
    `insert into nanoclaw_runtime (id, version, epoch, checkpoint_seq, scope)
     values (1, ${OWN_VERSION}, 0, ${Number.MIN_SAFE_INTEGER}, ${SCOPE})
     on conflict (id) do update set version = excluded.version where version <> excluded.version`,
  )
}

const SCOPE = 'lower(hex(randomblob(8)))'

/** undefined: the file has none of the runtime's tables. */
function versionOf(db: WritableDb): number | undefined {
  const made = db.prepare("select 1 from sqlite_schema where name = 'nanoclaw_runtime'").get()
  return made
    ? (db.prepare('select version from nanoclaw_runtime').pluck().get() as number | undefined)
    : undefined
}

function unusable(path: string, by: string, version: number, remedy: string): NanoclawError {
  return new NanoclawError(
    'outbound_unusable',
    `${path} was written by ${by} (its tables are version ${version}, this one knows ${OWN_VERSION}). ${remedy}, or use a new workspace.`,
  )
}

/** Names of the glossary. `mark_id` came within version 2. */
function fromVersion2(db: Pick<WritableDb, 'exec' | 'prepare'>): void {
  const columns = db.prepare("select name from pragma_table_info('nanoclaw_runtime')").pluck().all()
  if (!columns.includes('mark_id')) db.exec('alter table nanoclaw_runtime add column mark_id text')
  db.exec('alter table nanoclaw_runtime rename column seq_mark to checkpoint_seq')
  db.exec('alter table nanoclaw_runtime rename column mark_id to checkpoint_id')
  db.exec('alter table nanoclaw_open rename to nanoclaw_unfinished')
  db.exec("update nanoclaw_run set outcome = 'rejected' where outcome = 'refused'")
}

/** Steps came with version 4; their table is made with all others. */
function fromVersion3(db: Pick<WritableDb, 'exec'>): void {
  db.exec("alter table nanoclaw_runtime add column scope text not null default ''")
  db.exec(`update nanoclaw_runtime set scope = ${SCOPE}`)
}
