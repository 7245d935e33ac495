import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { missedText, quoted } from '../../runtime/cli/example.ts'
import { initProject, nanoclaw, startNanoclaw } from './cli.ts'

const RULE = {
  kind: ['webhook'],
  channelType: ['github'],
  content: [{ path: ['content', 'action'], values: ['opened', 'closed'] }],
}
const MESSAGE = {
  trigger: true,
  kind: 'webhook',
  channelType: 'github',
  platformId: null,
  threadId: null,
}

test.each([
  [{}, { content: { action: 'opened' } }, undefined],
  [
    {},
    { content: { action: 'edited' } },
    'f takes webhook only when content.content.action is opened or closed; here it is edited',
  ],
  [{}, {}, 'f takes webhook only when content.content.action is opened or closed; here it has none'],
  [
    { channelType: 'slack' },
    { content: { action: 'opened' } },
    'f takes webhook only when channel is github; here it is slack',
  ],
  [{ channelType: 'slack' }, {}, undefined],
  [{ kind: 'chat' }, { content: { action: 'opened' } }, undefined],
])('a message %j %j misses a rule by: %s', (columns, content, text) => {
  expect(missedText('f', RULE, { ...MESSAGE, ...columns, content: JSON.stringify(content) })).toBe(text)
})

test.each([
  ['hello', 'hello'],
  [`it's`, `'it'\\''s'`],
  ['', `''`],
])('%j is written as %s for a shell', (word, line) => {
  expect(quoted(word)).toBe(line)
})

test.each([
  ['its kind alone', `{ on: { kind: 'greeting' }, handler: () => 'taken' }`],
  [
    'content',
    `{ on: { kind: 'webhook', content: { 'issue.action': 'opened', 'issue.n': 1 } }, handler: () => 'taken' }`,
  ],
  ['an address', `{ on: { channelType: "it's", threadId: 'T 1' }, handler: () => 'taken' }`],
  ['everything', `{ on: {}, handler: () => 'taken' }`],
])('the example in the opening lines is taken by a function with %s [164]', async (_, definition) => {
  const dir = await initProject()
  writeFileSync(join(dir, 'functions/chat.ts'), `export default ${definition}`)
  const dev = startNanoclaw(dir, ['dev'])
  await dev.says('Ctrl+C stops.')
  const [, line = ''] = /another terminal: npx nanoclaw (.*)$/m.exec(dev.stdout()) ?? []
  const words = [...line.matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map(
    ([, inQuotes, bare]) => bare ?? inQuotes?.replaceAll(`'\\''`, `'`) ?? '',
  )
  expect(await nanoclaw(dir, words)).toMatchObject({ code: 0, stdout: expect.stringMatching(/\ntaken\n$/) })
})

test('dev, send and show name the one condition that a message misses [165]', async () => {
  const dir = await initProject()
  writeFileSync(
    join(dir, 'functions/opened.ts'),
    `export default { on: { kind: 'webhook', content: { action: 'opened' } }, handler() {} }`,
  )
  const dev = startNanoclaw(dir, ['dev'])
  await dev.says('Ctrl+C stops.')
  await nanoclaw(dir, ['send', 'webhook', '{"action":"closed"}', '--id', 'm'])
  const why = 'opened takes webhook only when content.action is opened; here it is closed'
  await dev.says(`parked  m  ${why}`)
  await expect
    .poll(async () => (await nanoclaw(dir, ['show', 'm'])).stdout, { timeout: 20_000 })
    .toContain(why)
  expect((await nanoclaw(dir, ['send', 'webhook', '{"action":"closed"}', '--wait', '1ms'])).stderr).toContain(
    why,
  )
  await nanoclaw(dir, ['send', 'a/b'])
  await dev.says('no function takes kind a/b; one with on: { kind: "a/b" } would take it')
})
