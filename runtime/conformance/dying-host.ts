// A host that is killed in the middle of a commit: a process of its own, started by `conform`. It says when it is in the
// middle, and waits for its end; nobody's leftovers live longer than a few seconds.
import { spillTransaction } from '../store/sqlite/fault-injection.ts'

const open = spillTransaction(process.argv[2] ?? '')
process.stdout.write('spilled\n')
setTimeout(() => open, 10_000)
