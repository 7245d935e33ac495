// A host that is killed in the middle of a commit: a process of its own, started by `conform`. It prints a
// line in the middle of the commit and waits for the kill; without one it ends after a few seconds.
import { spillTransaction } from '../store/sqlite/fault-injection.ts'

const open = spillTransaction(process.argv[2] ?? '')
process.stdout.write('spilled\n')
setTimeout(() => open, 10_000)
