// Another process at a lock. `hold`: says `locked` while somebody else has it, then takes it, says `held` and
// keeps it. `probe`: asks for it over and over, as `status` does.
import { isLocked, Lock } from '../../runtime/store/sqlite/lock.ts'

const [, , what, path] = process.argv as [string, string, string, string]

function hold(): void {
  try {
    Lock.acquire(path, () => 'the test')
    console.log('held')
    setInterval(() => {}, 1_000)
  } catch (error) {
    console.log((error as { code?: unknown }).code)
    setTimeout(hold, 50)
  }
}

if (what === 'hold') hold()
else {
  console.log('probing')
  for (;;) isLocked(path)
}
