// When a lasting problem is reported again.
import { expect, test } from 'vitest'
import { ReportOnce } from '../../runtime/protocol/report-once.ts'

type Step = readonly ['fault', fault: string, about?: string] | readonly ['over', about?: string]

const play = (steps: readonly Step[]) => {
  const once = new ReportOnce()
  return steps.map((step) => (step[0] === 'fault' ? once.isNews(step[1], step[2]) : once.over(step[1])))
}

test.each<[what: string, ...rows: (readonly [step: Step, news: boolean])[]]>([
  ['a fault that stays is reported once', [['fault', 'full'], true], [['fault', 'full'], false]],
  [
    'one that changes is reported again',
    [['fault', 'full'], true],
    [['fault', 'gone'], true],
    [['fault', 'full'], true],
  ],
  [
    'one that comes back is reported again, and its end once',
    [['fault', 'full'], true],
    [['over'], true],
    [['over'], false],
    [['fault', 'full'], true],
  ],
  ['an end without a fault is no news', [['over'], false]],
  [
    'what is wrong with one thing hides nothing about another',
    [['fault', 'full', 'a'], true],
    [['fault', 'full', 'b'], true],
    [['over', 'a'], true],
    [['fault', 'full', 'b'], false],
    [['fault', 'full', 'a'], true],
  ],
])('%s', (_what, ...rows) => {
  expect(play(rows.map(([step]) => step))).toEqual(rows.map(([, news]) => news))
})

test('a subject without a current problem is over', () => {
  const once = new ReportOnce()
  for (const about of ['a', 'b', 'c']) once.isNews('full', about)
  expect(once.keepOnly(new Set(['b', 'd']))).toEqual(['a', 'c'])
  expect(['a', 'b', 'c', 'd'].filter((about) => once.has('full', about))).toEqual(['b'])
})
