// Where the parent's microseconds go: the runtime under Node's own profiler while it runs a backlog, its time
// laid to the innermost function of ours that it was spent in. `npm run bench:profile -- [--messages n]
// [--save]`
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { lab, NOOP, rate, scratch } from './lab.ts'
import { machine } from './limits.ts'
import { PROFILE_HEAD, saveProfile } from './results.ts'
import { pipes, round } from './table.ts'

interface Frame {
  readonly functionName: string
  readonly url: string
}
interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: Frame
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const { values } = parseArgs({
  options: { messages: { type: 'string', default: '200000' }, save: { type: 'boolean', default: false } },
})
const messages = Number(values.messages)
const SHOWN = 20

const before = machine()
const folder = scratch('profile')
const bench = lab(NOOP)
const spawnedMs = performance.now()
const running = await bench.profiled(folder)
const startUs = (performance.now() - spawnedMs) * 1000
const perSecond = await rate(bench, messages)
await running.stop()
bench.close()
const [file = ''] = readdirSync(folder)
const times = timesOf(JSON.parse(readFileSync(join(folder, file), 'utf8')), startUs)
rmSync(folder, { recursive: true })

times.delete('(idle)')
const totalUs = [...times.values()].reduce((sum, us) => sum + us, 0)
const places = [...times].sort(([, a], [, b]) => b - a).slice(0, SHOWN)
const rows = [...places, ['all of it', totalUs] as const].map(
  ([place, us]) =>
    [`\`${place}\``, String(round(us / messages)), `${round((100 * us) / totalUs)} %`] as const,
)
const title = `${messages.toLocaleString('en-US')} messages, ${round(perSecond).toLocaleString('en-US')} a second under the profiler`
console.log(`${title}\n\n${pipes(PROFILE_HEAD, rows)}`)
if (values.save) saveProfile({ machine: before, title, rows })

/** Microseconds by place, from some time after the start. */
function timesOf({ nodes, samples, timeDeltas }: Profile, fromUs: number): Map<string, number> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parent = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  )
  const times = new Map<string, number>()
  let atUs = 0
  samples.forEach((id, n) => {
    const deltaUs = timeDeltas[n] ?? 0
    atUs += deltaUs
    if (atUs < fromUs) return
    let place: string | undefined
    for (let at: number | undefined = id; at !== undefined && !place; at = parent.get(at))
      place = placeOf(byId.get(at)?.callFrame)
    const key = place ?? outsideOf(byId.get(id)?.callFrame)
    times.set(key, (times.get(key) ?? 0) + deltaUs)
  })
  return times
}

/** Ours, or where SQLite commits. */
function placeOf(frame: Frame | undefined): string | undefined {
  if (!frame) return undefined
  if (frame.url.endsWith('better-sqlite3/lib/methods/transaction.js')) return 'COMMIT'
  // A closure counts as the function that contains it.
  return frame.url.includes('/dist/') && frame.functionName !== '' ? frame.functionName : undefined
}

function outsideOf(frame: Frame | undefined): string {
  if (!frame || frame.functionName.startsWith('(')) return frame?.functionName ?? '(unknown)'
  if (frame.url.startsWith('node:'))
    return frame.url.includes('child_process') || frame.url.includes('stream')
      ? 'reading the channels'
      : 'node'
  return frame.url.replace(/^.*node_modules\//, '') || 'node'
}
