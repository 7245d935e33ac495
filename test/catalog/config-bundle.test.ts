import { afterAll, describe, expect, test } from 'vitest'
import { bundleConfig, type Project, project, type Run, releaseBundler, run } from './project.ts'

afterAll(releaseBundler)

const bundleOf = (at: Project) => bundleConfig(at.at('nanoclaw.config.ts'), at.options)

async function told(text: string, files: Readonly<Record<string, string>> = {}): Promise<Run> {
  return run((await bundleOf(project({ 'nanoclaw.config.ts': text, ...files }))).path)
}

describe('a config runs in a process of its own, prints nothing and', () => {
  test('reports its default export', async () => {
    const ran = await told(
      `import { defineConfig } from 'nanoclaw-functions'
       import { seconds } from './lib/seconds.ts'
       export default defineConfig({ concurrency: await Promise.resolve(3), timeout: seconds(5) })`,
      { 'lib/seconds.ts': 'export const seconds = (n: number) => n * 1000' },
    )
    expect(ran).toEqual({
      messages: [{ type: 'value', value: { concurrency: 3, timeout: 5000 } }],
      code: 0,
      printed: '',
    })
  })

  test('ends, although it left timers or connections open', async () => {
    const ran = await told('setInterval(() => {}, 1000)\nexport default { poll: 1 }')
    expect(ran).toEqual({ messages: [{ type: 'value', value: { poll: 1 } }], code: 0, printed: '' })
  })

  test('names values that JSON does not have instead of dropping them', async () => {
    const { messages } = await told(
      'export default { a: () => 1, b: 1n, c: /x/, d: NaN, e: [Symbol()], f: null }',
    )
    expect(messages).toEqual([
      {
        type: 'value',
        value: { a: '[function]', b: '[bigint]', c: '[RegExp]', d: '[NaN]', e: ['[symbol]'], f: null },
      },
    ])
  })

  test.each([
    ['what it throws at load', `throw new TypeError('no secret')`, 'TypeError', 'no secret'],
    [
      'that it exports nothing',
      'export const config = {}',
      'Error',
      'nanoclaw.config.ts has no default export',
    ],
    ['that JSON cannot hold it', 'const it = {}; it.it = it; export default it', 'TypeError', 'circular'],
    [
      'that it never finishes',
      'await new Promise(() => {})\nexport default {}',
      'Error',
      'never finishes loading',
    ],
  ])('tells %s', async (_what, text, name, message) => {
    const ran = await told(text)
    expect(ran.messages).toEqual([
      { type: 'error', error: expect.objectContaining({ name, message: expect.stringContaining(message) }) },
    ])
    expect(ran.printed).toBe('')
  })
})

test('a config that does not build is a configuration error, with file and line', async () => {
  const at = project({ 'nanoclaw.config.ts': '\nexport default {,}' })
  await expect(bundleOf(at)).rejects.toMatchObject({
    code: 'bad_config',
    message: expect.stringContaining('nanoclaw.config.ts:2:17: '),
  })
})

test('a config has inputs to watch, and keeps its path while it is unchanged', async () => {
  const at = project({
    'nanoclaw.config.ts': `import './lib/env.ts'\nexport default {}`,
    'lib/env.ts': 'process.title',
  })
  const first = await bundleOf(at)
  expect(first.inputs).toEqual([at.at('lib/env.ts'), at.at('nanoclaw.config.ts')])
  expect(await bundleOf(at)).toEqual(first)
})
