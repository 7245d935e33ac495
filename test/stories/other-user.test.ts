// Files of another user than the runtime's, or without write permission: the error names the file, its owner,
// our user and what to do. SQLite's own words for it say none of that.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Paths } from '../../runtime/protocol/files.ts'
import { headInbound, insertMessage, openDb, wireOutbound } from '../support/files.ts'
import { project, testConfig, until } from '../support/runtime.ts'
import { acksAt, CLI, serve } from '../support/serve.ts'

/** Of the runtime: the owner of this clone, since only that user can enter a clone below a private folder. */
const UID = statSync(CLI).uid
/** Of the files. */
const OTHER = UID === 65534 ? 65533 : 65534
const AS_UID = [
  ...['setpriv', '--reuid', String(UID), '--clear-groups'],
  // Also root is then a user like any other.
  ...['--inh-caps=-all', '--bounding-set=-all'],
]
const can =
  process.getuid?.() === 0 && spawnSync(AS_UID[0]!, [...AS_UID.slice(1), 'test', '-r', CLI]).status === 0
if (!can)
  console.warn(
    'test/stories/other-user.test.ts is SKIPPED: it needs root, setpriv, and a clone that its owner can read',
  )

interface Place {
  readonly workspace: string
  readonly paths: Paths
}

type Case = readonly [what: string, make: (place: Place) => void, says: (place: Place) => string]

const notOurs = (file: string, mode: string, use: string) =>
  `${file} belongs to uid ${OTHER} and has mode ${mode}; this process runs as uid ${UID}, which may not ${use} it: run it as uid ${OTHER}, or give it to uid ${UID} (chown)`

const CASES: readonly Case[] = [
  [
    'outbound.db is of another user',
    ({ paths }) => own(paths.outbound, OTHER, 0o644),
    ({ paths }) => notOurs(paths.outbound, '0644', 'write'),
  ],
  [
    'outbound.db is of another user and cannot even be read',
    ({ paths }) => own(paths.outbound, OTHER, 0o600),
    ({ paths }) => notOurs(paths.outbound, '0600', 'write'),
  ],
  [
    'outbound.db has a mode without write permission',
    ({ paths }) => own(paths.outbound, UID, 0o444),
    ({ paths }) =>
      `${paths.outbound} has mode 0444, which does not let its owner, uid ${UID}, write it; change the mode (chmod u+rw)`,
  ],
  [
    'its journal was left by another user',
    ({ paths }) => {
      writeFileSync(`${paths.outbound}-journal`, readFileSync(paths.outbound))
      own(`${paths.outbound}-journal`, OTHER, 0o600)
    },
    ({ paths }) => notOurs(`${paths.outbound}-journal`, '0600', 'write'),
  ],
  [
    'the folder is of another user',
    ({ workspace }) => own(workspace, OTHER, 0o755),
    ({ workspace }) => notOurs(`the folder ${workspace}`, '0755', 'write'),
  ],
  [
    'the lock is of another user',
    ({ paths }) => {
      writeFileSync(paths.lock, '')
      own(paths.lock, OTHER, 0o600)
    },
    ({ paths }) => `Cannot lock ${paths.lock}: ${notOurs(paths.lock, '0600', 'write')}`,
  ],
  [
    'the heartbeat is of another user',
    ({ paths }) => {
      writeFileSync(paths.heartbeat, '')
      own(paths.heartbeat, OTHER, 0o644)
    },
    ({ paths }) => `Cannot touch ${paths.heartbeat}: ${notOurs(paths.heartbeat, '0644', 'write')}`,
  ],
  [
    'the file system is mounted read-only',
    ({ workspace }) => {
      execFileSync('mount', ['--bind', workspace, workspace])
      onTestFinished(() => void execFileSync('umount', ['-l', workspace]))
      execFileSync('mount', ['-o', 'remount,bind,ro', workspace])
    },
    ({ workspace }) =>
      `the folder ${workspace} is on a read-only file system; mount it writable, or use another place`,
  ],
]

describe.skipIf(!can)('a runtime of another user (needs root and setpriv) [76, 117]', () => {
  it.each(CASES)(
    'ends with 78, and the path, both users and the remedy, where %s',
    async (_what, make, says) => {
      const { root, ...place } = workplace()
      make(place)
      const runtime = start(root, place.workspace)
      expect(await runtime.ended).toBe(78)
      expect(runtime.text()).toContain(says(place))
    },
  )

  it('waits for an inbound.db without read permission, names its owner, and continues when it may read it', async () => {
    const { root, workspace, paths } = workplace()
    own(paths.inbound, OTHER, 0o600)
    const runtime = start(root, workspace)
    await until(() => runtime.text().includes(notOurs(paths.inbound, '0600', 'read')))
    chmodSync(paths.inbound, 0o644)
    const { id } = insertMessage(openDb(paths.inbound), { kind: 'echo' })
    await until(() => acksAt(paths.outbound)[id] === 'completed')
    runtime.process.kill('SIGTERM')
    expect(await runtime.ended).toBe(0)
  })

  it('ends with 78 and the same error when the folder loses its permissions in use', async () => {
    const { root, workspace, paths } = workplace()
    const runtime = start(root, workspace)
    await until(() => runtime.lines().some(({ msg }) => msg === 'started'))
    own(workspace, OTHER, 0o755)
    insertMessage(openDb(paths.inbound), { kind: 'echo' })
    expect(await runtime.ended).toBe(78)
    expect(runtime.text()).toContain(
      `${paths.outbound}: ${notOurs(`the folder ${workspace}`, '0755', 'write')}`,
    )
  })
})

function workplace(): Place & { readonly root: string } {
  const root = project(['echo'])
  const { paths, workspace } = testConfig(root)
  headInbound(paths.inbound).close()
  wireOutbound(paths.outbound).close()
  chmodSync(root, 0o755)
  mkdirSync(join(root, 'cache'))
  for (const path of [join(root, 'cache'), workspace, paths.outbound]) own(path, UID, 0o755)
  return { root, workspace, paths }
}

function start(root: string, workspace: string) {
  return serve(root, workspace, { before: AS_UID, args: ['--cache', join(root, 'cache')] })
}

function own(path: string, uid: number, mode: number): void {
  chownSync(path, uid, uid)
  chmodSync(path, mode)
}
