// A host in a process of its own that delivers DIR, writes each idempotency key to stdout, and dies at the
// reply KILL_AT: after the adapter has sent it, before it was recorded.
import { openHost } from '../../runtime/host/index.ts'

const [dir, killAt] = process.argv.slice(2) as [string, string]
openHost(dir).deliver((reply, { idempotencyKey }) => {
  process.stdout.write(`${idempotencyKey}\n`, () => {
    if (reply.id === killAt) process.kill(process.pid, 'SIGKILL')
  })
  return reply.id === killAt ? new Promise(() => {}) : `platform-${reply.id}`
})
