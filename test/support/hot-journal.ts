// What a writer leaves behind that was killed in mid-transaction: half of its pages in the database, the old
// ones in a journal. A tiny cache makes SQLite write pages out before the commit that never comes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const SCRIPT = `
import Database from 'better-sqlite3'
const db = new Database(process.argv[1])
db.pragma('cache_size = 5')
db.exec('begin immediate')
db.exec(process.argv[2])
process.stdout.write('spilled')
setInterval(() => {}, 1000)
`

/** Runs `sql` in a transaction of another process and kills that process before it commits. */
export async function leaveHotJournal(path: string, sql: string): Promise<void> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT, path, sql], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
}
