// ctx.step on real files and real processes: what is remembered, what ends with the process, what a later run
// is given.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { messageLines } from '../../runtime/cli/show.ts'
import { readMessage } from '../../runtime/store/sqlite/inspect-message.ts'
import { project, sharedBench, until, workbenchAt } from '../support/runtime.ts'

/** Each body writes a line, so that the test counts how often it ran. */
const TALLY = `import { appendFileSync } from 'node:fs'
  const ran = (message, line) => appendFileSync(message.content.log, line + '\\n')
`

const SOURCES = {
  'order.js': `${TALLY}
    export default {
      retry: { attempts: 5, minDelay: '10ms' },
      async handler(message, ctx) {
        const paid = await ctx.step('charge', ({ id, attempt }) => {
          ran(message, 'charge ' + id + ' ' + attempt)
          return { at: new Date(0), id }
        })
        await ctx.step('nothing', () => { ran(message, 'nothing') })
        if (ctx.attempt < 3) throw new Error('the label printer is out of paper')
        const all = await Promise.all([1, 2, 3].map((n) => ctx.step('label ' + n, async () => { ran(message, 'label'); return n })))
        return { paid, all, attempt: ctx.attempt }
      },
    }`,
  'flaky.js': `${TALLY}
    export default {
      retry: { attempts: 5, minDelay: '10ms' },
      async handler(message, ctx) {
        return ctx.step('call', ({ attempt }) => {
          ran(message, 'call ' + ctx.attempt + '.' + attempt)
          if (ctx.attempt === 1) throw new TypeError('not yet')
          return 'answer'
        }, ctx.attempt === 1 ? {} : { retry: { attempts: 2 } })
      },
    }`,
  'final.js': `${TALLY}
    export default {
      retry: { attempts: 3, minDelay: '10ms' },
      async handler(message, ctx) {
        try {
          await ctx.step('card', ({ attempt }) => { ran(message, 'card ' + attempt); throw new RangeError('declined') },
            { retry: { attempts: 2, minDelay: '5ms' } })
        } catch (error) {
          if (ctx.attempt < 2) throw new Error('on the way')
          return { name: error.name, step: error.step, message: error.message, cause: error.cause.name }
        }
      },
    }`,
  'uncaught-final.js': `${TALLY}
    export default { retry: { attempts: 5, minDelay: '10ms' }, handler: (message, ctx) =>
      ctx.step('card', () => { ran(message, 'card'); throw new RangeError('declined') }, { retry: { attempts: 1 } }) }`,
  'loose.js': `${TALLY}
    export default {
      async handler(message, ctx) {
        ctx.step('late', async () => { await new Promise((resolve) => setTimeout(resolve, 30)); ran(message, 'late') })
        ctx.step('bad', async () => { throw new Error('unseen') })
        return 'done'
      },
    }`,
  'dies.js': `${TALLY}
    export default {
      retry: { attempts: 5, minDelay: '10ms' },
      async handler(message, ctx) {
        await ctx.step('first', () => ran(message, 'first'))
        await ctx.step('second', () => { ran(message, 'second'); if (ctx.attempt < 3) process.kill(process.pid, 'SIGKILL') })
        return 'alive'
      },
    }`,
  'waits.js': `${TALLY}
    import { existsSync } from 'node:fs'
    export default {
      async handler(message, ctx) {
        await ctx.step('first', () => ran(message, 'first'))
        ran(message, 'waits')
        while (!existsSync(message.content.log + '.go')) await new Promise((resolve) => setTimeout(resolve, 5))
        await ctx.step('second', () => ran(message, 'second'))
        return 'over'
      },
    }`,
  'misuse.js': `
    const MISUSES = {
      'step_name_used': (ctx) => ctx.step('a', () => 1).then(() => ctx.step('a', () => 2)),
      'step_name': (ctx) => ctx.step('', () => 1),
      'inside_step': (ctx) => ctx.step('a', () => ctx.step('b', () => 1)),
      'inside_step:reply': (ctx) => ctx.step('a', async () => { await 0; ctx.reply('no') }),
      'unserialisable_step': (ctx) => ctx.step('a', () => ({ at: [new Map()] })),
      'step_too_large': (ctx) => ctx.step('a', () => 'x'.repeat(1024 * 1024)),
      'journal_full': async (ctx) => { for (let n = 0; n < 20; n++) await ctx.step('a' + n, () => 'x'.repeat(1_000_000)) },
    }
    export default { retry: { attempts: 3, minDelay: '10ms' }, handler: ({ content }, ctx) => MISUSES[content.how](ctx) }`,
  'quick.js': `${TALLY}
    import { existsSync } from 'node:fs'
    export default {
      key: 'content.key',
      async handler(message, ctx) {
        ran(message, message.content.key + ' ' + message.content.n)
        if (!message.content.dies) return
        const died = existsSync(message.content.log + '.died')
        ran({ content: { log: message.content.log + '.died' } }, 'once')
        const step = ctx.step('step', () => 1)
        if (!died) {
          for (let n = 0; n < 100; n++) await null
          process.kill(process.pid, 'SIGKILL')
        }
        await step
      },
    }`,
  'ended.js': `let before
    export default { concurrency: 1, handler: async (_message, ctx) => {
      if (before) return before('late', () => 1).then(() => 'began', ({ code }) => code)
      before = ctx.step
    } }`,
}

const shared = sharedBench([], {}, SOURCES)
let logs = 0

function tally(bench: { readonly config: { readonly root: string } }) {
  const log = join(bench.config.root, `bodies-${++logs}.log`)
  const lines = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])
  return { log, lines }
}

describe('ctx.step', () => {
  it('calls each body once over three attempts, gives what JSON keeps, and one id for each step', async () => {
    const bench = shared()
    const { log, lines } = tally(bench)
    const id = bench.send('order', { log })
    await bench.ended(id)
    expect(bench.ack(id)).toBe('completed')
    expect(bench.runs(id).map(({ outcome }) => outcome)).toEqual(['threw', 'threw', 'replied'])
    const [charge, ...others] = lines()
    expect(charge).toMatch(/^charge [0-9a-f]{32} 1$/)
    expect(others).toEqual(['nothing', 'label', 'label', 'label'])
    expect(bench.replies(id)[0]?.content).toEqual({
      paid: { at: '1970-01-01T00:00:00.000Z', id: charge?.split(' ')[1] },
      all: [1, 2, 3],
      attempt: 3,
    })
  })

  it('remembers no failure that may pass: the body is called again by the next attempt', async () => {
    const bench = shared()
    const { log, lines } = tally(bench)
    const id = bench.send('flaky', { log })
    await bench.ended(id)
    expect(bench.replies(id).map(({ content }) => content)).toEqual([{ text: 'answer' }])
    expect(lines()).toEqual(['call 1.1', 'call 2.1'])
  })

  it('remembers that its own retries are used up, and throws the same in each later run', async () => {
    const bench = shared()
    const { log, lines } = tally(bench)
    const id = bench.send('final', { log })
    await bench.ended(id)
    expect(bench.replies(id)[0]?.content).toEqual({
      name: 'StepFailed',
      step: 'card',
      message: 'step "card" failed: declined',
      cause: 'RangeError',
    })
    expect(lines()).toEqual(['card 1', 'card 2'])
  })

  it('fails its message at once where a final failure is not caught', async () => {
    const bench = shared()
    const { log, lines } = tally(bench)
    const id = bench.send('uncaught-final', { log })
    await bench.ended(id)
    expect([bench.ack(id), bench.runs(id).length, lines()]).toEqual(['failed', 1, ['card']])
    expect(bench.runs(id)[0]).toMatchObject({
      reason: 'non_retryable',
      error: { cause: { message: 'declined' } },
    })
  })

  it('is waited for when the handler has returned without it, and its failure is a warning', async () => {
    const bench = shared()
    const { log, lines } = tally(bench)
    const warnings: string[] = []
    bench.events.on('log', ({ level, text }) => level === 'warn' && warnings.push(text))
    const id = bench.send('loose', { log })
    await bench.ended(id)
    expect(lines()).toEqual(['late'])
    await until(() => warnings.some((text) => text.startsWith('step "bad" failed, and the handler went on')))
  })

  it('is called again only where the process died in it', async () => {
    const bench = shared()
    const { log, lines } = tally(bench)
    const id = bench.send('dies', { log })
    await bench.ended(id)
    expect(bench.replies(id).map(({ content }) => content)).toEqual([{ text: 'alive' }])
    expect(lines()).toEqual(['first', 'second', 'second', 'second'])
  })

  it.each([
    'step_name_used',
    'step_name',
    'inside_step',
    'inside_step:reply',
    'unserialisable_step',
    'step_too_large',
    'journal_full',
  ])('used wrongly (%s) fails the message at once, and the error has the code', async (how) => {
    const bench = shared()
    const id = bench.send('misuse', { how })
    await bench.ended(id)
    expect([bench.ack(id), bench.runs(id).length]).toEqual(['failed', 1])
    expect(bench.runs(id)[0]).toMatchObject({ reason: 'non_retryable', error: { code: how.split(':')[0] } })
  })

  it('of a run that is over begins nothing', async () => {
    const bench = shared()
    const [first, second] = [bench.send('ended'), bench.send('ended')]
    await bench.ended(first, second)
    expect(bench.replies(second).map(({ content }) => content)).toEqual([{ text: 'run_is_over' }])
  })

  it('is shown with its message, its result cut to a line', async () => {
    const bench = shared()
    const { log } = tally(bench)
    const id = bench.send('order', { log })
    await bench.ended(id)
    const report = readMessage(bench.config.paths, id)
    expect(report.steps.map(({ name, state, run }) => [name, state, run]).sort()).toEqual([
      ['charge', 'done', 1],
      ['label 1', 'done', 3],
      ['label 2', 'done', 3],
      ['label 3', 'done', 3],
      ['nothing', 'done', 1],
    ])
    const runtime = { running: true, note: null, heartbeatAtMs: null }
    const shown = messageLines(report, runtime, 0, (_style, text) => text)
    expect(shown.slice(shown.indexOf('Steps:'), shown.indexOf('Replies:'))).toEqual([
      'Steps:',
      expect.stringMatching(/^ {2}charge +step +done +\S+ ms +in run #1 +\{"at":"1970-/),
      expect.stringMatching(/^ {2}nothing +step +done +\S+ ms +in run #1$/),
      ...[1, 2, 3].map((n) => expect.stringMatching(`^  label ${n} +step +done +\\S+ ms +in run #3 +${n}$`)),
      '',
    ])
  })

  it('that is on record before its process dies does not bring its message before others of its key', async () => {
    const bench = shared()
    const { log, lines } = tally(bench)
    // A function that has shown itself to be quick is given several messages at a time.
    for (let n = 0; n < 5; n++) await bench.ended(bench.send('quick', { log, key: 'warm', n }))
    const ids = bench.inbound.transaction(() =>
      [0, 1, 2, 3].map((n) => bench.send('quick', { log, key: 'k', n, dies: n === 3 })),
    )()
    await bench.ended(...ids)
    expect(lines().filter((line) => line.startsWith('k'))).toEqual(['k 0', 'k 1', 'k 2', 'k 3', 'k 3'])
  })

  it('is kept over a stop in its middle, which charges nothing', async () => {
    const root = project([], SOURCES)
    const bench = await workbenchAt(root, { drainMs: 50 })
    const { log, lines } = tally(bench)
    const id = bench.send('waits', { log })
    await until(() => lines().includes('waits'))
    await bench.runtime.stop()
    writeFileSync(`${log}.go`, '')
    const next = await workbenchAt(root)
    await next.ended(id)
    expect(lines().filter((line) => line !== 'waits')).toEqual(['first', 'second'])
    expect(next.runs(id).map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [1, 'cancelled'],
      [1, 'replied'],
    ])
  })
})
