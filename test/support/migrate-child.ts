// Brings outbound.db along and dies by SIGKILL in the middle: behind the nth statement, with nothing but a
// few pages of cache, so that part of the change is in the file already.
import { makeTables } from '../../runtime/store/sqlite/migrations.ts'
import { openWritable } from '../../runtime/store/sqlite/open.ts'

const [, , path = '', nth = ''] = process.argv
const db = openWritable(path, 'delete')
db.pragma('cache_size = 1')
const exec = db.exec.bind(db)
let left = Number(nth)
db.exec = (sql) => {
  exec(sql)
  if (--left === 0) process.kill(process.pid, 'SIGKILL')
  return db
}
db.transaction(() => makeTables(db)).immediate()
