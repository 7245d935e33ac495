// A handler that exceeds its timeout: its record, and the end of its process.
import { describe, expect, it } from 'vitest'
import { sharedBench, until } from '../support/runtime.ts'
import { isAlive } from '../support/supervise.ts'

const shared = sharedBench(
  ['echo', 'hang', 'heed', 'block'],
  {},
  {
    'answers-late.js': `export default {
      timeout: '150ms',
      retry: { attempts: 1 },
      handler: (_message, { signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve('late, but complete'))),
    }`,
  },
)

describe('a handler that takes too long', () => {
  it('is stopped at its timeout, its process replaced, its message retried [W29, 3]', async () => {
    const bench = shared()
    const id = bench.send('hang')
    await bench.ended(id)
    const runs = bench.runs(id)
    expect(runs.map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['timed-out', 'timeout'],
      ['timed-out', 'timeout'],
    ])
    expect(runs[0]?.worker).not.toBe(runs[1]?.worker)
  })

  it('is completed with its replies when it returns within abortGrace; its process is replaced [3]', async () => {
    const bench = shared()
    const id = bench.send('answers-late')
    await bench.ended(id)
    expect(bench.runs(id).map(({ outcome }) => outcome)).toEqual(['replied'])
    expect(bench.replies(id).map(({ content }) => content)).toEqual([{ text: 'late, but complete' }])
    const next = bench.send('answers-late')
    await bench.ended(next)
    expect(bench.runs(next)[0]?.worker).not.toBe(bench.runs(id)[0]?.worker)
  })

  it('may clean up on its signal; it still counts as a timeout', async () => {
    const bench = shared()
    const id = bench.send('heed')
    await bench.ended(id)
    expect(bench.runs(id)[0]?.outcome).toBe('timed-out')
  })

  it('is killed even if it blocks its event loop and ignores SIGTERM [4]', async () => {
    const bench = shared()
    const id = bench.send('block')
    await bench.ended(id)
    expect(bench.runs(id)[0]?.reason).toBe('timeout')
    await until(() => !isAlive(bench.runs(id)[0]!.worker))
    const next = bench.send('echo')
    await bench.ended(next)
    expect(bench.ack(next)).toBe('completed')
  })
})
