// Results that are kept: in results/ with the machine, and from there in the documents, between two marks, so
// that what a person reads is what was measured. `test/bench.test.ts` holds the documents to it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './lab.ts'
import { markdown, pipes, type Row, verdictOf, withUnit } from './table.ts'

interface Result {
  readonly machine: Readonly<Record<string, unknown>>
  readonly rows: readonly Row[]
}

interface Profiled {
  readonly machine: Result['machine']
  readonly title: string
  readonly rows: readonly (readonly string[])[]
}

export const PROFILE_HEAD = ['where', 'µs a message', 'share']

export function save(name: string, machine: Result['machine'], rows: readonly Row[]): void {
  write(name, { machine, rows: rows.map((row) => ({ ...row, verdict: verdictOf(row.target) })) })
}

export function saveProfile(profiled: Profiled): void {
  write('profile', profiled)
}

function write(name: string, result: Result | Profiled): void {
  const folder = join(ROOT, 'bench/results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`)
  for (const { path, text } of documents()) writeFileSync(path, text)
}

/** Each document that shows results, and how it has to read. */
export function documents(): { readonly path: string; readonly text: string }[] {
  const bench = read<Result>('bench')
  const peers = read<Result>('peers')
  const profile = read<Profiled>('profile')
  const workspaces = read<Result>('workspaces')
  return [
    fill('README.md', { figures: peers && inShort(peers) }),
    fill('docs/performance.md', {
      bench: bench && `${markdown(bench.rows)}\n\n${measuredOn(bench)}`,
      peers: peers && `${markdown(peers.rows)}\n\n${measuredOn(peers)}`,
      workspaces: workspaces && `${markdown(workspaces.rows)}\n\n${measuredOn(workspaces)}`,
      profile:
        profile && `${profile.title}:\n\n${pipes(PROFILE_HEAD, profile.rows)}\n\n${measuredOn(profile)}`,
    }),
  ]
}

/** What a person reads stays as it is where there is no result. */
function fill(
  file: string,
  parts: Readonly<Record<string, string | undefined>>,
): { path: string; text: string } {
  const path = join(ROOT, file)
  let text = readFileSync(path, 'utf8')
  for (const [mark, part] of Object.entries(parts)) {
    const between = new RegExp(`(<!-- ${mark} -->\n).*?(<!-- /${mark} -->)`, 's')
    if (part !== undefined)
      text = text.replace(between, (_all, open, close) => `${open}\n${part}\n\n${close}`)
  }
  return { path, text }
}

/** The figures of README.md, where all of them have been measured. */
function inShort({ rows, machine }: Result): string | undefined {
  const row = (begin: string) => rows.find(({ what }) => what.startsWith(begin))
  const [bullmq, graphile] = [row('against bullmq'), row('against graphile-worker')]
  const [lone, recovery] = [row('idle pick-up beside bullmq, p50'), row('killed (SIGKILL) under a running')]
  if (!bullmq?.target || !graphile?.target || !lone?.against || !recovery) return undefined
  const { cores, cpu, date } = machine
  return [
    `${withUnit(bullmq.ours.median, 'messages')} a second with one reply each, both files durable:`,
    `${withUnit(bullmq.target.value, '×')} BullMQ's sandboxed processor, ${withUnit(graphile.target.value, '×')} graphile-worker.`,
    `A lone message reaches its handler after ${withUnit(lone.ours.median, 'ms')}, BullMQ's after ${withUnit(lone.against.median, 'ms')}.`,
    `After \`kill -9\` of the runtime and a start, the handler runs again after ${withUnit(recovery.ours.median, 'ms')}.`,
    `(${cores} cores, ${cpu}, ${date}.)`,
  ].join('\n')
}

function read<T>(name: string): T | undefined {
  const path = join(ROOT, 'bench/results', `${name}.json`)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
}

function measuredOn(result: Result | Profiled | undefined): string {
  if (!result) return ''
  const { date, cpu, cores, memoryGiB, node, sqlite, fsyncMs, load, versions } = result.machine
  const { p50, p99 } = fsyncMs as { p50: number; p99: number }
  const peers = Object.entries((versions ?? {}) as Record<string, string>).map(
    ([name, version]) => `${name} ${version}`,
  )
  return [
    `Measured on ${date}: ${cores} cores (${cpu}), ${memoryGiB} GiB, Node ${node}, SQLite ${sqlite}`,
    ...peers,
    `fsync ${p50} ms (p99 ${p99} ms)`,
    `load at the start ${(load as number[])[0]}. Median (lowest–highest).`,
  ].join(', ')
}
