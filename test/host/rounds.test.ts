// Rounds over many folders: fair, in slices, independent of failures of one folder.
import { expect, onTestFinished, test } from 'vitest'
import { Rounds, type RoundsParts } from '../../runtime/host/rounds.ts'
import { FakeClock } from '../support/fake-clock.ts'

function rounds(parts: Partial<RoundsParts> = {}) {
  const clock = new FakeClock()
  const visited: string[] = []
  const failed: string[] = []
  const all = new Rounds({
    clock,
    pauseMs: 1_000,
    sliceMs: 5,
    visit: (folder) => void visited.push(folder),
    failed: (folder) => void failed.push(folder),
    ...parts,
  })
  onTestFinished(() => all.stop())
  return { clock, all, visited, failed }
}

test('a folder is visited when it is added, and then once a round', () => {
  const { clock, all, visited } = rounds()
  all.add('a')
  all.add('b')
  clock.advance(0)
  expect(visited).toEqual(['a', 'b'])
  clock.advance(1_000)
  expect(visited).toEqual(['a', 'b', 'a', 'b'])
  all.remove('a')
  clock.advance(1_000)
  expect(visited.slice(4)).toEqual(['b'])
})

test('slow visits yield to the event loop between slices, and a requested visit comes first', () => {
  const visited: string[] = []
  const { clock, all } = rounds({
    visit: (folder) => {
      visited.push(folder)
      clock.sleep(3)
    },
  })
  for (const folder of ['a', 'b', 'c', 'd', 'e', 'f']) all.add(folder)
  let turns = 0
  while (visited.length < 6) {
    expect(clock.step(10_000)).toBe(true)
    turns++
  }
  expect(turns).toBe(3)

  while (visited.length < 8) clock.step(10_000)
  all.soon('f')
  while (visited.length < 13) clock.step(10_000)
  expect(visited.slice(6).join('')).toBe('abfcdef')
})

test('an error of a visit affects that folder alone', () => {
  const visited: string[] = []
  const { clock, all, failed } = rounds({
    visit: (folder) => {
      if (folder === 'bad') throw new Error('no')
      visited.push(folder)
    },
  })
  for (const folder of ['a', 'bad', 'c']) all.add(folder)
  clock.advance(1_000)
  expect(visited).toEqual(['a', 'c', 'a', 'c'])
  expect(failed).toEqual(['bad', 'bad'])
})

test('round() resolves when every folder has been visited after the call, and stop() ends every wait', async () => {
  const visited: string[] = []
  const { clock, all } = rounds({
    visit: (folder) => {
      visited.push(folder)
      clock.sleep(6)
    },
  })
  all.add('a')
  all.add('b')
  while (visited.length < 2) clock.step(0)
  let ends = ''
  const first = all.round().then(() => (ends += `first ${visited.length} `))
  while (visited.length < 3) clock.step(0)
  const behind = all.round().then(() => (ends += `behind ${visited.length}`))
  for (let turns = 0; turns < 10; turns++) {
    clock.step(0)
    await Promise.resolve()
  }
  await Promise.all([first, behind])
  expect(ends).toBe('first 4 behind 6')

  const never = all.round()
  all.stop()
  await never
  await all.round()
  clock.advance(10_000)
  expect(visited).toHaveLength(6)
  expect(clock.timers).toBe(0)
})
