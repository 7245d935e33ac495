// The last two commits of a runtime that stops, and its close; says what the second of them came to.
import { EMPTY_BATCH } from '../../runtime/protocol/commit-batch.ts'
import { ReopeningOutbox } from '../../runtime/store/sqlite/reopening-outbox.ts'

const [, , path = ''] = process.argv
const outbox = new ReopeningOutbox(path, 'delete')
outbox.recover(0, 3)
const marked = (seq: number) =>
  outbox.commit({ ...EMPTY_BATCH, checkpoint: { seq, id: null, unfinished: [] } })
marked(2)
try {
  marked(4)
  console.log('committed')
} catch (error) {
  console.log((error as { code?: unknown }).code)
}
outbox.close()
