// ctx.sleep and ctx.ask in the child: what a run says, drops and remembers until its message has ended.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Context, Handler } from '../../runtime/protocol/handler.ts'
import { drive } from '../support/handler-driver.ts'

const texts = (replies: readonly unknown[]) =>
  replies.map((content: any) => content.text ?? content.question ?? content)

describe('a handler that waits', () => {
  it('says what stands before a wait once, though it runs again from the top', async () => {
    const { replies, results } = await drive(async (_message, ctx) => {
      ctx.reply('one')
      await ctx.sleep('nap', '1h')
      ctx.reply('two')
      await ctx.sleep('more', '1h')
      return 'three'
    })
    expect(texts(replies)).toEqual(['one', 'two', 'three'])
    expect(results.map((result) => [result.end, 'from' in result ? result.from : undefined])).toEqual([
      ['suspended', 0],
      ['suspended', 1],
      ['replied', 2],
    ])
  })

  it('names the next reply behind those that went out with a wait', async () => {
    const ids: string[] = []
    await drive(async (_message, ctx) => {
      ids.push(ctx.replyId)
      ctx.reply('one')
      await ctx.sleep('nap', '1h')
      ids.push(ctx.replyId)
      return 'two'
    })
    expect(ids).toEqual(['m-1:0', 'm-1:0', 'm-1:1'])
  })

  it('gets the answer that was given, and null when the time was up', async () => {
    const handler: Handler = async (_message, ctx) => {
      const answer = await ctx.ask('go', {
        question: 'Ship?',
        options: ['yes', { value: 'no', label: 'No!' }],
      })
      return { answer: answer && [answer.value, answer.userId, answer.answeredAt.toISOString()] }
    }
    const answered = await drive(handler, { wake: () => ({ name: 'go', answer: 'no' }) })
    expect(answered.replies[1]).toEqual({ answer: ['no', null, '2026-01-01T00:00:00.000Z'] })
    const late = await drive(handler, { wake: () => ({ name: 'go' }) })
    expect(late.replies[1]).toEqual({ answer: null })
    const [question] = late.replies as any[]
    expect(question).toEqual({
      type: 'ask_question',
      questionId: late.waits[0]?.questionId,
      title: 'Ship?',
      question: 'Ship?',
      options: [
        { value: 'yes', label: 'yes', selectedLabel: 'yes' },
        { value: 'no', label: 'No!', selectedLabel: 'No!' },
      ],
    })
    expect(question.questionId).toMatch(/^q-[0-9a-f]{24}$/)
  })

  it('asks for any text with a plain chat reply', async () => {
    const { replies, waits, results } = await drive(async (_message, ctx) => {
      const answer = await ctx.ask('name', { question: 'Your name?' })
      return `Hello ${answer?.value}.`
    })
    expect(texts(replies)).toEqual(['Your name?', 'Hello yes.'])
    expect(results[0]).toMatchObject({
      waits: [{ question: { values: null, address: '["chat","p",null]' } }],
      replies: [{ kind: 'chat' }],
    })
    expect(waits).toHaveLength(1)
  })

  it('stays in its process for up to a second, and remembers nothing of it', async () => {
    const { results, waits } = await drive(async (_message, ctx) => {
      await ctx.sleep('blink', 10)
      await ctx.sleep('past', new Date(0))
      return 'awake'
    })
    expect([results.map(({ end }) => end), waits]).toEqual([['replied'], []])
  })

  it('does a step between two waits once', async () => {
    let bodies = 0
    const { replies } = await drive(async (_message, ctx) => {
      await ctx.sleep('a', '1h')
      const n = await ctx.step('count', () => ++bodies)
      await ctx.sleep('b', '1h')
      return { n }
    })
    expect([bodies, replies]).toEqual([1, [{ n: 1 }]])
  })

  it('is suspended only when its steps have ended', async () => {
    const { results, steps } = await drive(async (_message, ctx) => {
      await Promise.all([
        ctx.sleep('a', '1h'),
        ctx.step('slow', () => new Promise((resolve) => setTimeout(resolve, 20, 1))),
      ])
      return 'both'
    })
    expect([results.map(({ end }) => end), steps.map(({ name }) => name)]).toEqual([
      ['suspended', 'replied'],
      ['slow'],
    ])
  })

  it('goes on with whichever of several waits has ended first, and its other waits are over with it', async () => {
    const { replies, results } = await drive(
      async (_message, ctx) =>
        Promise.race([
          ctx.sleep('deadline', '1d').then(() => 'too late'),
          ctx
            .ask('go', { question: 'Ship?', options: ['yes'] })
            .then((answer) => `answered ${answer?.value}`),
        ]),
      { wake: (open) => ({ name: open.find(({ kind }) => kind === 'ask')!.name, answer: 'yes' }) },
    )
    expect(texts(replies)).toEqual(['Ship?', 'answered yes'])
    expect(results.map(({ end }) => end)).toEqual(['suspended', 'replied'])
  })

  it.each<[string, (ctx: Context) => unknown, string]>([
    ['a name twice', (ctx) => Promise.all([ctx.sleep('a', '1h'), ctx.sleep('a', '1h')]), 'step_name_used'],
    ['a wait in a step', (ctx) => ctx.step('a', () => ctx.sleep('b', '1h')), 'inside_step'],
    ['no question', (ctx) => ctx.ask('a', { question: ' ' }), 'bad_question'],
    ['no options', (ctx) => ctx.ask('a', { question: 'x', options: [] }), 'bad_question'],
    ['an option twice', (ctx) => ctx.ask('a', { question: 'x', options: ['b', 'b'] }), 'bad_question'],
    ['an unknown field', (ctx) => ctx.ask('a', { question: 'x', until: 1 } as never), 'bad_question'],
    ['an odd timeout', (ctx) => ctx.ask('a', { question: 'x', timeout: 'soon' as never }), 'bad_question'],
    [
      '101 waits',
      (ctx) => Promise.all(Array.from({ length: 101 }, (_, n) => ctx.sleep(`${n}`, '1h'))),
      'too_many_waits',
    ],
    [
      'no address',
      (ctx) => ctx.ask('a', { question: 'x', to: { channelType: null, platformId: null } }),
      'no_address',
    ],
  ])('used wrongly fails at once: %s', async (_, use, code) => {
    const { results } = await drive((_message, ctx) => use(ctx))
    expect(results).toMatchObject([{ end: 'threw', retry: { wish: 'never' }, error: { code } }])
  })

  it('refuses a name that is on record as something else', async () => {
    let isStep = false
    const { results } = await drive(async (_message, ctx) => {
      if (isStep) return ctx.step('a', () => 1)
      isStep = true
      return ctx.sleep('a', '1h')
    })
    expect(results).toMatchObject([{ end: 'suspended' }, { end: 'threw', error: { code: 'step_kind' } }])
  })
})

/** A random sequence of what a handler may do. */
type Act =
  | { readonly do: 'reply'; readonly text: string }
  | { readonly do: 'sleep' | 'ask' | 'step' | 'pause' | 'ticks' }

const ACT: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constant('reply' as const), text: fc.constantFrom('a', 'b') }),
  fc.record({
    do: fc.constantFrom(
      'sleep' as const,
      'ask' as const,
      'step' as const,
      'pause' as const,
      'ticks' as const,
    ),
  }),
)

async function act(acts: readonly Act[], ctx: Context, branch: string): Promise<void> {
  for (const [n, each] of acts.entries()) {
    const name = `${branch}${n}`
    if (each.do === 'reply') ctx.reply(`${name} ${each.text}`)
    else if (each.do === 'sleep') await ctx.sleep(name, '1h')
    else if (each.do === 'ask') await ctx.ask(name, { question: name, options: ['yes'] })
    else if (each.do === 'step') await ctx.step(name, () => n)
    else if (each.do === 'pause') await new Promise((resolve) => setTimeout(resolve, 1))
    else for (let tick = 0; tick < 3; tick++) await null
  }
}

function said(acts: readonly Act[], branch: string): string[] {
  return acts.flatMap((each, n) =>
    each.do === 'reply' ? `${branch}${n} ${each.text}` : each.do === 'ask' ? `${branch}${n}` : [],
  )
}

describe('what a message has said when it has ended', () => {
  it('is what one run without waits would have said, in that order, whatever cuts it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(ACT, { maxLength: 8 }),
        fc.array(fc.boolean(), { maxLength: 12 }),
        async (acts, cuts) => {
          const { replies } = await drive((_message, ctx) => act(acts, ctx, ''), {
            isCut: (run) => cuts[run - 1] ?? false,
          })
          expect(texts(replies)).toEqual(said(acts, ''))
        },
      ),
      { numRuns: 40 },
    )
  })

  it('of branches that wait side by side has all of each branch, once, in the order of the branch', async () => {
    const branches = fc.array(fc.array(ACT, { maxLength: 5 }), { minLength: 2, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(
        branches,
        fc.infiniteStream(fc.nat()),
        fc.array(fc.boolean(), { maxLength: 12 }),
        async (all, picks, cuts) => {
          const { replies } = await drive(
            (_message, ctx) =>
              Promise.all(all.map((acts, n) => act(acts, ctx, `${n}-`))).then(() => undefined),
            {
              isCut: (run) => cuts[run - 1] ?? false,
              wake: (open) => ({ name: open[picks.next().value! % open.length]!.name, answer: 'yes' }),
            },
          )
          for (const [n, acts] of all.entries()) {
            const own = texts(replies).filter((text: string) => text.startsWith(`${n}-`))
            expect(own).toEqual(said(acts, `${n}-`))
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})
