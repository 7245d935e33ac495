// What the host pays for being watched: its own commit time, in turns on a folder that the runtime watches
// and on one without a watcher. The rows are of a kind that no function takes, so that the runtime looks at
// them and does nothing more.
import { enqueue, type Lab, lab, NOOP, pause, withRuntime } from '../lab.ts'
import { percentile, type Row, round, spread } from '../table.ts'
import type { Benchmark } from '../world.ts'

const COMMITS = 400
/** Between two commits: the polls after one commit fall into the next ones. */
const PAUSE_MS = 5

export const hostCommit: Benchmark = {
  name: 'host-commit',
  async run(world) {
    const { watched, unwatched } = await withRuntime(NOOP, [], async (bench) => {
      const other = lab(NOOP)
      try {
        return await measure(bench, other, world.count(COMMITS))
      } finally {
        other.close()
      }
    })
    return [
      {
        what: "the host's own commit while we watch",
        unit: 'ms',
        ours: spread(watched),
        against: { name: 'no watcher', ...spread(unwatched) },
        target: {
          value: round(percentile(watched, 0.5) / percentile(unwatched, 0.5)),
          unit: '×',
          better: 'less',
          must: 1.2,
          goal: 1.05,
        },
        note: `medians of ${watched.length} commits each, ${PAUSE_MS} ms apart`,
      },
    ] satisfies Row[]
  },
}

async function measure(watchedLab: Lab, other: Lab, count: number) {
  const watched: number[] = []
  const unwatched: number[] = []
  for (let n = 0; n < count; n++)
    for (const [bench, times] of [[watchedLab, watched] as const, [other, unwatched] as const]) {
      times.push(commitMs(bench))
      await pause(PAUSE_MS)
    }
  return { watched, unwatched }
}

function commitMs(bench: Lab): number {
  const startMs = performance.now()
  enqueue(bench.inbound, 1, () => ({ kind: 'unroutable' }))
  return performance.now() - startMs
}
