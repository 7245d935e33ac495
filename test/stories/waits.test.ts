// ctx.sleep and ctx.ask on real files and real processes: what frees its process, what wakes it, and what
// becomes of an answer.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { MessageColumns } from '../support/files.ts'
import { project, sharedBench, until, type Workbench, workbenchAt } from '../support/runtime.ts'

const SOURCES = {
  'approve.js': `export default {
    key: null,
    async handler({ content }, ctx) {
      const begun = await ctx.step('begin', () => process.pid)
      ctx.reply('Wait a moment.')
      const answer = await ctx.ask('go', { question: 'Ship?', options: ['yes', 'no'], timeout: content.timeout ?? '1h' })
      return { begun: begun > 0, answer: answer && { value: answer.value, userId: answer.userId }, attempt: ctx.attempt }
    },
  }`,
  'nap.js': `export default {
    key: null,
    async handler({ content }, ctx) {
      const from = await ctx.step('from', () => Date.now())
      await ctx.sleep('nap', content.nap)
      return { sleptMs: Date.now() - from, attempt: ctx.attempt }
    },
  }`,
  'name.js': `export default async (message, ctx) => {
    const answer = await ctx.ask('name', { question: 'Your name?', freeText: true, options: message.content.options })
    return 'Hello ' + answer.value + ' from ' + answer.userId + '.'
  }`,
  'chat.js': `export default { on: { kind: ['chat', 'chat-sdk'] }, handler: ({ content }) => 'chat: ' + content.text }`,
  'hold.js': `export default {
    whileWaiting: 'hold', key: 'content.key',
    async handler({ content }, ctx) {
      if (content.first) await ctx.ask('go', { question: 'First?', options: ['yes'] })
      return { n: content.n }
    },
  }`,
  'free.js': `export default {
    key: 'content.key',
    async handler({ content }, ctx) {
      if (content.first) await ctx.ask('go', { question: 'First?', options: ['yes'] })
      return { n: content.n }
    },
  }`,
  'either.js': `export default async (_message, ctx) => {
    const first = await Promise.race([
      ctx.ask('left', { question: 'Left?', options: ['yes'] }).then(() => 'left'),
      ctx.ask('right', { question: 'Right?', options: ['yes'] }).then(() => 'right'),
    ])
    return first
  }`,
}

const shared = sharedBench([], {}, SOURCES)
const CHAT: MessageColumns = { channel_type: 'chat', platform_id: 'p', thread_id: null }
let threads = 0

/** The question that a message has asked, once it has. */
async function questionOf(bench: Workbench, id: string, nth = 0): Promise<string> {
  const asked = () =>
    bench.replies(id).flatMap(({ content }) => (content.type === 'ask_question' ? [content.questionId] : []))
  await until(() => asked().length > nth)
  return asked()[nth]
}

/** As newer hosts write it. */
function answer(
  bench: Workbench,
  questionId: string,
  selectedOption: string,
  columns: MessageColumns = {},
): string {
  const content = { type: 'question_response', questionId, selectedOption, userId: 'u-1' }
  return bench.send('system', content, { trigger: 0, ...columns })
}

const outcomes = (bench: Workbench, id: string) => bench.runs(id).map(({ outcome }) => outcome)
const texts = (bench: Workbench, id: string) =>
  bench.replies(id).map(({ content }) => content.text ?? content.question ?? content)

describe('a handler that asks', () => {
  it('frees its process, and runs again from the top when the answer has come', async () => {
    const bench = shared()
    const id = bench.send('approve', {}, CHAT)
    const question = await questionOf(bench, id)
    expect(question).toMatch(/^q-[0-9a-f]{24}$/)
    expect([bench.ack(id), outcomes(bench, id)]).toEqual([undefined, ['suspended']])
    const answered = answer(bench, question, 'yes')
    await bench.ended(id, answered)
    expect(texts(bench, id)).toEqual([
      'Wait a moment.',
      'Ship?',
      { begun: true, answer: { value: 'yes', userId: 'u-1' }, attempt: 1 },
    ])
    expect([outcomes(bench, id), outcomes(bench, answered)]).toEqual([['suspended', 'replied'], ['answered']])
  })

  it('gets null when nothing came in time, and an answer after that is acked as late', async () => {
    const bench = shared()
    const id = bench.send('approve', { timeout: '50ms' }, CHAT)
    await bench.ended(id)
    expect(bench.replies(id).at(-1)?.content).toMatchObject({ answer: null })
    const late = answer(bench, await questionOf(bench, id), 'yes')
    await bench.ended(late)
    expect([bench.ack(late), outcomes(bench, late)]).toEqual(['completed', ['late-answer']])
  })

  it('takes the first of two answers, and the other one changes nothing', async () => {
    const bench = shared()
    const id = bench.send('approve', {}, CHAT)
    const question = await questionOf(bench, id)
    const both = bench.inbound.transaction(() => [
      answer(bench, question, 'no'),
      answer(bench, question, 'yes'),
    ])()
    await bench.ended(id, ...both)
    expect(bench.replies(id).at(-1)?.content).toMatchObject({ answer: { value: 'no' } })
    expect(both.map((each) => outcomes(bench, each))).toEqual([['answered'], ['late-answer']])
  })

  it('goes on waiting where the answer is none of its options', async () => {
    const bench = shared()
    const id = bench.send('approve', {}, CHAT)
    const question = await questionOf(bench, id)
    const odd = answer(bench, question, 'maybe')
    await bench.ended(odd)
    expect(bench.runs(odd)).toMatchObject([{ outcome: 'late-answer', reason: 'unknown_option' }])
    await bench.ended(answer(bench, question, 'yes'), id)
    expect(bench.replies(id).at(-1)?.content).toMatchObject({ answer: { value: 'yes' } })
  })

  it('is answered by the next chat message of the conversation, which no function takes', async () => {
    const bench = shared()
    const here: MessageColumns = { ...CHAT, thread_id: `t-${++threads}` }
    const before = bench.send('chat', { text: 'hi' }, here)
    await bench.ended(before)
    const id = bench.send('name', {}, here)
    await until(() => texts(bench, id).includes('Your name?'))
    const elsewhere = bench.send('chat', { text: 'other' }, { ...CHAT, thread_id: 'other' })
    const [ada, next] = bench.inbound.transaction(() => [
      bench.send('chat', { text: 'Ada', senderId: 'u-2' }, here),
      bench.send('chat', { text: 'and then' }, here),
    ])() as [string, string]
    await bench.ended(id, ada, next, elsewhere)
    expect(texts(bench, id)).toEqual(['Your name?', 'Hello Ada from u-2.'])
    expect([outcomes(bench, ada), texts(bench, next), texts(bench, elsewhere)]).toEqual([
      ['answered'],
      ['chat: and then'],
      ['chat: other'],
    ])
  })

  it('is not answered by a chat message that is due later, and that keeps no other one from it', async () => {
    const bench = shared()
    const here: MessageColumns = { ...CHAT, thread_id: `t-${++threads}` }
    const id = bench.send('name', {}, here)
    await until(() => texts(bench, id).includes('Your name?'))
    const [, ada] = bench.inbound.transaction(() => [
      bench.send('chat', { text: 'later' }, { ...here, process_after: '2126-01-01T00:00:00.000Z' }),
      bench.send('chat', { text: 'Ada', senderId: 'u-2' }, here),
    ])() as [string, string]
    await bench.ended(ada, id)
    expect(texts(bench, id)).toEqual(['Your name?', 'Hello Ada from u-2.'])
  })

  it('of several questions goes on with the first answer, and closes the others at its end', async () => {
    const bench = shared()
    const id = bench.send('either', {}, CHAT)
    const [left, right] = [await questionOf(bench, id, 0), await questionOf(bench, id, 1)]
    await bench.ended(answer(bench, right, 'yes'), id)
    expect(texts(bench, id).at(-1)).toBe('right')
    const late = answer(bench, left, 'yes')
    await bench.ended(late)
    expect(outcomes(bench, late)).toEqual(['late-answer'])
  })
})

describe('a handler that sleeps', () => {
  it('runs again no earlier than it said, as the same attempt', async () => {
    const bench = shared()
    const [length, date] = [bench.send('nap', { nap: 1_200 }), bench.send('nap', { nap: '1100ms' })]
    await bench.ended(length, date)
    expect(bench.replies(length)[0]?.content.sleptMs).toBeGreaterThanOrEqual(1_200)
    expect(bench.replies(date)[0]?.content).toMatchObject({ attempt: 1 })
    expect(outcomes(bench, length)).toEqual(['suspended', 'replied'])
  })
})

describe('messages of one ordering key', () => {
  const three = (bench: Workbench, kind: string) => {
    const key = `k-${++threads}`
    return [1, 2, 3].map((n) => bench.send(kind, { key, n, first: n === 1 }, CHAT))
  }

  it('run while one of them waits', async () => {
    const bench = shared()
    const [first = '', ...others] = three(bench, 'free')
    await bench.ended(...others)
    expect(bench.ack(first)).toBeUndefined()
    await bench.ended(answer(bench, await questionOf(bench, first), 'yes'), first)
  })

  it('wait behind it where the function says hold', async () => {
    const bench = shared()
    const [first = '', ...others] = three(bench, 'hold')
    const question = await questionOf(bench, first)
    const probe = bench.send('approve', { timeout: 1 }, CHAT)
    await bench.ended(probe)
    expect(others.map((id) => bench.ack(id))).toEqual([undefined, undefined])
    await bench.ended(answer(bench, question, 'yes'), first, ...others)
    const seqs = [first, ...others].map((id) => bench.replies(id).at(-1)!.seq)
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
  })
})

describe('what happens while a message waits', () => {
  it('a stop, an answer meanwhile and another version of the code: it goes on with what it has done', async () => {
    const root = project([], SOURCES)
    const bench = await workbenchAt(root)
    const id = bench.send('approve', {}, CHAT)
    const question = await questionOf(bench, id)
    await bench.runtime.stop()
    const code = SOURCES['approve.js']
      .replace('return {', "return { code: 'new',")
      .replace('process.pid', '0')
    writeFileSync(join(root, 'functions', 'approve.js'), code)
    answer(bench, question, 'yes')
    const next = await workbenchAt(root)
    await next.ended(id)
    expect(next.replies(id).at(-1)?.content).toMatchObject({
      code: 'new',
      begun: true,
      answer: { value: 'yes' },
    })
  })

  it('a stop: it holds its lane after the start, too, and its time goes on', async () => {
    const root = project([], SOURCES)
    const bench = await workbenchAt(root)
    const nap = bench.send('nap', { nap: 1_100 })
    const first = bench.send('hold', { key: 'k', n: 1, first: true }, CHAT)
    const question = await questionOf(bench, first)
    await until(() => outcomes(bench, nap).length > 0)
    await bench.runtime.stop()
    const second = bench.send('hold', { key: 'k', n: 2 }, CHAT)
    const next = await workbenchAt(root)
    await next.ended(nap)
    expect(next.ack(second)).toBeUndefined()
    await next.ended(answer(next, question, 'yes'), first, second)
  })

  it('its function goes: it is held until the function is back', async () => {
    const root = project([], SOURCES)
    const bench = await workbenchAt(root)
    const id = bench.send('approve', {}, CHAT)
    const question = await questionOf(bench, id)
    await bench.runtime.stop()
    const file = join(root, 'functions', 'approve.js')
    rmSync(file)
    writeFileSync(
      join(root, 'functions', 'other.js'),
      `export default { on: { kind: 'approve' }, handler: () => 'mine' }`,
    )
    const without = await workbenchAt(root)
    const answered = answer(without, question, 'yes')
    await without.ended(answered)
    await without.runtime.stop()
    expect(without.ack(id)).toBeUndefined()
    rmSync(join(root, 'functions', 'other.js'))
    writeFileSync(file, SOURCES['approve.js'])
    const next = await workbenchAt(root)
    await next.ended(id)
    expect(next.replies(id).at(-1)?.content).toMatchObject({ answer: { value: 'yes' } })
  })

  it('the host cancels it: it runs no more once it is woken, and an answer is late', async () => {
    const bench = shared()
    const id = bench.send('approve', { timeout: '200ms' }, CHAT)
    const question = await questionOf(bench, id)
    bench.inbound.prepare("update messages_in set status = 'completed' where id = ?").run(id)
    await until(() => outcomes(bench, id).length > 1)
    expect(bench.runs(id)).toMatchObject([
      { outcome: 'suspended' },
      { outcome: 'cancelled', reason: 'host_cancelled' },
    ])
    const late = answer(bench, question, 'yes')
    await bench.ended(late)
    expect([outcomes(bench, late), bench.ack(id)]).toEqual([['late-answer'], undefined])
  })

  it('the host pauses it: the answer is kept, and it goes on when the host resumes it', async () => {
    const bench = shared()
    const set = bench.inbound.prepare('update messages_in set status = ? where id = ?')
    const id = bench.send('approve', {}, CHAT)
    const question = await questionOf(bench, id)
    set.run('paused', id)
    const answered = answer(bench, question, 'yes')
    await bench.ended(answered)
    const probe = bench.send('chat', { text: 'probe' }, { ...CHAT, thread_id: 'probe' })
    await bench.ended(probe)
    expect([bench.ack(id), outcomes(bench, id)]).toEqual([undefined, ['suspended']])
    set.run('pending', id)
    await bench.ended(id)
    expect(bench.replies(id).at(-1)?.content).toMatchObject({ answer: { value: 'yes' } })
  })
})
