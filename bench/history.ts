// A workspace with a long past: so many messages that were answered and that the host has recorded. One
// message is run for real; its rows in both files are then written again under other ids, so they look as the
// runtime of today writes them.
import Database from 'better-sqlite3'
import { type Lab, lab, NOOP, rate } from './lab.ts'
import type { Ids } from './world.ts'

const TEMPLATE = 'template'
/** Enough for the trees of a million random ids; a build that goes to the disk for each takes minutes. */
const CACHE_KIB = 2 ** 20

const HEX = (bytes: number) => `lower(hex(randomblob(${bytes})))`
export const UUID = `${HEX(4)} || '-' || ${HEX(2)} || '-4' || substr(${HEX(2)}, 2) || '-a' || substr(${HEX(2)}, 2) || '-' || ${HEX(6)}`
const NEW_ID: Readonly<Record<Ids, string>> = { 'time-ordered': "printf('m-%09d', n)", uuid: UUID }

export async function makeHistory(rows: number, ids: Ids): Promise<Lab> {
  const made = lab(NOOP)
  const running = await made.runtime()
  await rate(made, 1, () => ({ id: TEMPLATE }))
  await running.stop()
  fillInbound(made.inbound, rows, NEW_ID[ids])
  fillOutbound(`${made.workspace}/outbound.db`, made.inbound.name)
  return made
}

function fillInbound(db: Database.Database, rows: number, newId: string): void {
  db.pragma('synchronous = off')
  db.pragma(`cache_size = -${CACHE_KIB}`)
  db.prepare(
    `with recursive number (n) as (select 1 union all select n + 1 from number where n < ?)
     insert into messages_in (id, seq, kind, timestamp, status, content)
     select ${newId}, 2 * n + 2, kind, timestamp, 'completed', content from number, messages_in where id = ?`,
  ).run(rows, TEMPLATE)
  db.prepare("update messages_in set status = 'completed' where id = ?").run(TEMPLATE)
  db.pragma('cache_size = -2000')
  db.pragma('synchronous = full')
}

function fillOutbound(path: string, inbound: string): void {
  const db = new Database(path)
  db.pragma('synchronous = off')
  db.pragma('journal_mode = off')
  db.pragma(`cache_size = -${CACHE_KIB}`)
  db.exec(`attach '${inbound}' as host`)
  const tables = db
    .prepare("select name from main.sqlite_schema where type = 'table'")
    .pluck()
    .all() as string[]
  for (const table of tables) copy(db, table)
  db.exec(
    'update nanoclaw_runtime set checkpoint_id = null, checkpoint_seq = (select max(seq) from host.messages_in)',
  )
  db.close()
}

/** Every row that speaks of the template comes once for each message. */
function copy(db: Database.Database, table: string): void {
  const columns = db.prepare('select name from pragma_table_info(?)').pluck().all(table) as string[]
  const key = columns.find((name) => name === 'message_id' || name === 'in_reply_to')
  if (key === undefined) return
  const values = columns.map((name) => {
    if (name === key) return 'm.id'
    if (name === 'id') return `replace(t.id, '${TEMPLATE}', m.id)`
    return name === 'seq' ? 'm.seq + 1' : `t.${name}`
  })
  db.exec(
    `insert into ${table} (${columns.join(', ')}) select ${values.join(', ')}
     from host.messages_in m, ${table} t where t.${key} = '${TEMPLATE}' and m.id <> '${TEMPLATE}' order by m.seq`,
  )
}
