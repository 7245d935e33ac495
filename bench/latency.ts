// How long a lone message takes on an idle runtime: from the host's commit to the handler's first line, and to the reply
// that the host can read. `npm run bench:latency`
import { completed, enqueue, keep, lab, percentile, print, round } from './lab.ts'

const MESSAGES = 300
const WARM_UP = 20
const PAUSE_MS = 20

// process.hrtime is one clock for all processes of the machine.
const bench = lab({ 'stamp.js': 'export default () => ({ at: String(process.hrtime.bigint()) })' })
const runtime = await bench.runtime()
const committedAt: bigint[] = []
const readAt: bigint[] = []
const outbound = bench.outbound()
const version = outbound.prepare('pragma data_version').pluck()
const replies = outbound.prepare('select count(*) from messages_out').pluck()
for (let n = 0; n < WARM_UP + MESSAGES; n++) {
  enqueue(bench.inbound, 1, () => ({ kind: 'stamp', id: `m-${n}` }))
  committedAt.push(process.hrtime.bigint())
  let seen = version.get()
  while (replies.get() !== n + 1) {
    while (version.get() === seen) await new Promise((resolve) => setTimeout(resolve, 0.5))
    seen = version.get()
  }
  readAt.push(process.hrtime.bigint())
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
await completed(bench, WARM_UP + MESSAGES)
const startedAt = new Map(
  (outbound.prepare('select in_reply_to, content from messages_out').raw().all() as [string, string][]).map(
    ([id, content]) => [id, BigInt(JSON.parse(content).at)],
  ),
)
await runtime.stop()
outbound.close()
bench.close()

const ms = (from: bigint, to: bigint) => Number(to - from) / 1e6
const measured = committedAt
  .map((at, n) => ({ start: ms(at, startedAt.get(`m-${n}`)!), reply: ms(at, readAt[n]!) }))
  .slice(WARM_UP)
const figures = Object.fromEntries(
  (['start', 'reply'] as const).map((what) => {
    const values = measured.map((each) => each[what])
    return [
      what,
      {
        p50: round(percentile(values, 0.5)),
        p99: round(percentile(values, 0.99)),
        max: round(Math.max(...values)),
      },
    ]
  }),
)
keep('latency', { messages: MESSAGES, ...figures })
print(`Idle latency, ${MESSAGES} messages ${PAUSE_MS} ms apart, both files DELETE/FULL (ms)`, [
  ['', 'p50', 'p99', 'max'],
  ...Object.entries(figures).map(([what, { p50, p99, max }]) => [
    what === 'start' ? 'commit → handler starts' : 'commit → reply readable',
    p50,
    p99,
    max,
  ]),
])
