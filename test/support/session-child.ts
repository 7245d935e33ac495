// Opens a session folder, claims what is pending in it, tells what it has found and dies by SIGKILL.
import { writeSync } from 'node:fs'
import { openSession } from '../../runtime/store/session.ts'

const [, , folder = '', crashLimit = ''] = process.argv
const session = openSession(folder, { crashLimit: Number(crashLimit) })
const claimed = session.markProcessing(session.getPendingMessages().map(({ id }) => id))
writeSync(1, JSON.stringify({ interrupted: session.interrupted, claimed }))
process.kill(process.pid, 'SIGKILL')
