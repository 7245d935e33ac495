// The report of `conform`: a line per check; under a failed check what was observed, the remedy and the
// section with the rule. Fits a terminal of 80 columns.
import { CHECKS, type Finding } from '../conformance/checks.ts'
import { type Paint, plain, plainLines, table } from './print.ts'

const WIDTH = 78

export interface Group {
  readonly title: string
  readonly findings: readonly Finding[]
}

export function reportLines(groups: readonly Group[], paint: Paint, more = ''): string[] {
  const all = groups.flatMap(({ findings }) => findings)
  const count = (verdict: Finding['verdict']) => all.filter((each) => each.verdict === verdict).length
  const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip')]
  const ending = [
    paint(failed > 0 ? 'red' : 'dim', `${failed} failed`),
    paint(failed > 0 ? 'dim' : 'green', `${passed} passed`),
    paint('dim', `${skipped} skipped${more}`),
  ]
  return [...groups.flatMap((group) => [...groupLines(group, paint), '']), ending.join(', ')]
}

function groupLines({ title, findings }: Group, paint: Paint): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length))
  const claimWidth = Math.max(...findings.map(({ check }) => CHECKS[check].claim.length))
  return [
    paint('bold', plain(title)),
    ...findings.flatMap((finding) => {
      const { check, verdict, measure } = finding
      const cells = [
        mark(verdict, paint),
        check.padEnd(width),
        CHECKS[check].claim.padEnd(claimWidth),
        paint('dim', measure),
      ]
      return [...table([cells], '  '), ...(verdict === 'fail' ? brokenLines(finding, paint) : [])]
    }),
  ]
}

function mark(verdict: Finding['verdict'], paint: Paint): string {
  switch (verdict) {
    case 'pass':
      return paint('green', 'pass')
    case 'fail':
      return paint('red', 'FAIL')
    case 'skip':
      return paint('yellow', 'skip')
    default:
      return verdict satisfies never
  }
}

/** The observation, the remedy, and the section with the rule. */
function brokenLines({ check, found }: Finding, paint: Paint): string[] {
  const { remedy, section } = CHECKS[check]
  const seen = plainLines(found, 4, 400).flatMap((line) => folded(line))
  return [
    ...seen.map((line, at) => `        ${at === 0 ? 'seen  ' : '      '}${line}`),
    ...folded(remedy).map((line, at) => `        ${at === 0 ? 'rule  ' : '      '}${line}`),
    `        ${paint('dim', `      docs/protocol.md, ${section}: ${check}`)}`,
  ]
}

/** Lines wrapped to the width beside the name. */
function folded(text: string): string[] {
  const widthMax = WIDTH - 14
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line !== '' && line.length + 1 + word.length > widthMax) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}
