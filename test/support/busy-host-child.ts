// A host that never rests: commits to the inbound.db at argv[2] each argv[3] milliseconds until it is killed.
import Database from 'better-sqlite3'

const [path = '', everyMs = ''] = process.argv.slice(2)
const db = new Database(path, { timeout: 5_000 })
db.exec('create table if not exists busy (n integer)')
const insert = db.prepare('insert into busy values (1)')
setInterval(() => insert.run(), Number(everyMs))
process.stdout.write('begins\n')
