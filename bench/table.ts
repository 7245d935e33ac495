// A row of a benchmark: what was measured, what it is held against, what was asked for. Everything that is
// made of rows (the table on the screen, the Markdown of docs/) is made here, so that all of them agree.

/** Median with minimum and maximum: the form of every figure. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Row {
  readonly what: string
  readonly unit: string
  readonly ours: Spread
  /** A limit of the machine, a peer, or ourselves in another case; measured in turns with ours. */
  readonly against?: Spread & { readonly name: string }
  readonly target?: Target
  /** What a reader has to know to read the figure right. */
  readonly note?: string
}

export interface Target {
  /** What the bounds are about: ours, or how many times `against` it is. */
  readonly value: number
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly must?: number
  readonly goal?: number
}

/** `goal` and `must`: reached. `–`: nothing was asked for. */
export type Verdict = 'goal' | 'must' | 'missed' | '–'

export function verdictOf(target: Target | undefined): Verdict {
  if (!target) return '–'
  const { value, better, must, goal } = target
  const reaches = (bound: number | undefined) =>
    bound !== undefined && (better === 'more' ? value >= bound : value <= bound)
  if (reaches(goal)) return 'goal'
  if (reaches(must)) return 'must'
  return must === undefined ? '–' : 'missed'
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export function spread(values: readonly number[]): Spread {
  return {
    median: round(percentile(values, 0.5)),
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
  }
}

/** What one round is in relation to the other of the same moment; the middle one of all rounds. */
export function ratio(ours: readonly number[], against: readonly number[]): number {
  return round(
    percentile(
      ours.map((value, n) => value / (against[n] ?? Number.NaN)),
      0.5,
    ),
  )
}

export function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3))
}

const HEAD = ['', 'ours', 'against', 'that is', 'must', 'goal', 'verdict']

/** Cells as people read them. */
function cells({ what, unit, ours, against, target }: Row): string[] {
  const bound = (value: number | undefined) =>
    target && value !== undefined
      ? `${target.better === 'more' ? '≥' : '≤'} ${withUnit(value, target.unit)}`
      : ''
  return [
    what,
    figure(ours, unit),
    against ? `${figure(against, unit)} ${against.name}` : '',
    target && target.unit !== unit ? withUnit(target.value, target.unit) : '',
    bound(target?.must),
    bound(target?.goal),
    verdictOf(target),
  ]
}

function figure({ median, min, max }: Spread, unit: string): string {
  const value = withUnit(median, unit)
  return min === max ? value : `${value} (${number(min)}–${number(max)})`
}

export function withUnit(value: number, unit: string): string {
  return `${number(value)} ${unit}`
}

function number(value: number): string {
  return round(value).toLocaleString('en-US', { maximumFractionDigits: 4 })
}

/** For a terminal. */
export function print(rows: readonly Row[]): void {
  const table = [HEAD, ...rows.map(cells)]
  const widths = HEAD.map((_, at) => Math.max(...table.map((row) => row[at]?.length ?? 0)))
  for (const row of table)
    console.log(
      `  ${row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd()}`,
    )
  const notes = rows.filter(({ note }) => note !== undefined)
  for (const { what, note } of notes) console.log(`  - ${what}: ${note}`)
}

/** For a document. */
export function markdown(rows: readonly Row[]): string {
  const notes = rows.flatMap(({ what, note }) => (note === undefined ? [] : [`- ${what}: ${note}.`]))
  return [
    pipes(['what', ...HEAD.slice(1)], rows.map(cells)),
    ...(notes.length > 0 ? [notes.join('\n')] : []),
  ].join('\n\n')
}

/** A table in Markdown. */
export function pipes(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
