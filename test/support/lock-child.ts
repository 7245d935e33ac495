// Another process at locks. `hold`: says `locked` while another process has one, then takes it, says `held`
// and keeps it. `probe`: asks for it over and over, as `status` does.
import { isLocked, Lock, LockConnections } from '../../runtime/store/sqlite/lock.ts'

const [, , what, ...paths] = process.argv
const connections = new LockConnections()
let held = ''

function hold(path: string): void {
  try {
    Lock.acquire(path, () => 'the test', connections)
    held += held ? ' held' : 'held'
    console.log(held)
    setInterval(() => {}, 1_000)
  } catch (error) {
    console.log((error as { code?: unknown }).code)
    setTimeout(() => hold(path), 50)
  }
}

if (what === 'hold') for (const path of paths) hold(path)
else {
  console.log('probing')
  for (;;) for (const path of paths) isLocked(path)
}
