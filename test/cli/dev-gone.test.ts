// `dev` creates its folder itself, and a user may delete it at any time.
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { initProject, nanoclaw, startNanoclaw } from './cli.ts'

test.each<[string, (workspace: string, pid: number) => void]>([
  [
    'deleted',
    (workspace, pid) => {
      // A file that the runtime writes there in the middle of it would keep the folder.
      process.kill(pid, 'SIGSTOP')
      rmSync(workspace, { recursive: true })
      process.kill(pid, 'SIGCONT')
    },
  ],
  ['moved', (workspace) => renameSync(workspace, `${workspace}.old`)],
  [
    'exchanged for an empty folder',
    (workspace) => {
      renameSync(workspace, `${workspace}.old`)
      mkdirSync(workspace)
    },
  ],
  ['without outbound.db', (workspace) => rmSync(join(workspace, 'outbound.db'))],
])('a workspace that is %s under dev is created again, with one line [115]', async (_what, take) => {
  const dir = await initProject()
  const dev = startNanoclaw(dir, ['dev'])
  await dev.says('Ctrl+C stops.')
  expect(await nanoclaw(dir, ['send', 'chat', 'one', '--wait'])).toMatchObject({ code: 0 })
  await dev.says('→ You said: one')
  const before = dev.stdout()
  take(join(dir, '.nanoclaw'), dev.child.pid!)
  await dev.says('an empty one replaces it')
  expect(await nanoclaw(dir, ['send', 'chat', 'two', '--wait'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('You said: two'),
  })
  await dev.says('→ You said: two')
  expect(await nanoclaw(dir, ['send', 'chat', 'three', '--wait'])).toMatchObject({ code: 0 })
  const words = dev
    .stdout()
    .slice(before.length)
    .split('\n')
    .flatMap((line) => /^\S+ {2}(\w+)/.exec(line)?.[1] ?? [])
  expect(words.slice(0, 2)).toEqual(['reset', 'done'])
  dev.child.kill('SIGINT')
  expect(await dev.ended()).toMatchObject({ code: 0, stderr: '' })
})

test('when only inbound.db is deleted under dev, an empty one replaces it, and the runtime continues [116]', async () => {
  const dir = await initProject()
  const dev = startNanoclaw(dir, ['dev'])
  await dev.says('Ctrl+C stops.')
  rmSync(join(dir, '.nanoclaw/inbound.db'))
  await expect.poll(() => dev.stderr()).toContain('inbound.db was moved or deleted; an empty one replaces it')
  expect(await nanoclaw(dir, ['send', 'chat', 'two', '--wait'])).toMatchObject({ code: 0 })
  expect(dev.stdout()).not.toContain('reset')
  dev.child.kill('SIGINT')
  expect((await dev.ended()).code).toBe(0)
})
