// The command lines that start a runtime, word by word.
import { NanoclawError } from 'nanoclaw-functions/host'
import type { Command, Launch, StartSpec } from 'nanoclaw-functions/supervisor'
import { expect, test } from 'vitest'
import { launchOf, runName } from '../../runtime/supervisor/containers.ts'

const RUN: StartSpec = { folder: '/srv/s 1', name: 'nanoclaw-s-1-0a', env: {}, mounts: [], hosts: [] }
const HOOKED: StartSpec = {
  ...RUN,
  env: { HTTPS_PROXY: 'http://x:secret@gate:1' },
  mounts: [{ source: '/var/ca.pem', target: '/tmp/ca.pem', readonly: true }],
  hosts: ['host.docker.internal:host-gateway'],
}
const INBOX = 'type=bind,source=/srv/s 1/inbox,target=/workspace/inbox,readonly'

test.each<[string, Command, StartSpec, Launch]>([
  [
    'a local command gets its folder',
    { argv: ['nanoclaw', 'start'], env: { A: '1' }, cwd: '/app' },
    { ...RUN, env: { B: '2' } },
    { argv: ['nanoclaw', 'start'], env: { A: '1', B: '2', NANOCLAW_WORKSPACE: '/srv/s 1' }, cwd: '/app' },
  ],
  [
    'Docker, as little as possible',
    { engine: 'docker', image: 'f:1' },
    RUN,
    {
      argv: [
        ...['docker', 'run', '--rm', '--name', 'nanoclaw-s-1-0a'],
        ...['--mount', 'type=bind,source=/srv/s 1,target=/workspace', '--mount', INBOX, 'f:1'],
      ],
      env: {},
      kill: ['docker', 'rm', '--force', 'nanoclaw-s-1-0a'],
    },
  ],
  [
    'Podman, with everything; no value of the environment is among the words',
    {
      engine: 'podman',
      image: 'f:1',
      env: { TZ: 'UTC', HTTPS_PROXY: 'overruled' },
      mounts: [{ source: '/srv/group', target: '/workspace/agent' }],
      args: ['--memory', '512m'],
      command: ['--concurrency', '8'],
    },
    HOOKED,
    {
      argv: [
        ...['podman', 'run', '--rm', '--name', 'nanoclaw-s-1-0a', '--env', 'TZ', '--env', 'HTTPS_PROXY'],
        ...['--mount', 'type=bind,source=/srv/s 1,target=/workspace', '--mount', INBOX],
        ...['--mount', 'type=bind,source=/srv/group,target=/workspace/agent'],
        ...['--mount', 'type=bind,source=/var/ca.pem,target=/tmp/ca.pem,readonly'],
        ...['--add-host', 'host.docker.internal:host-gateway'],
        ...['--memory', '512m', 'f:1', '--concurrency', '8'],
      ],
      env: { TZ: 'UTC', HTTPS_PROXY: 'http://x:secret@gate:1' },
      kill: ['podman', 'rm', '--force', 'nanoclaw-s-1-0a'],
    },
  ],
  [
    'an inbox that is given takes the place of ours',
    {
      engine: 'docker',
      image: 'f:1',
      mounts: [{ source: '/srv/in', target: '/workspace/inbox', readonly: true }],
    },
    RUN,
    {
      argv: [
        ...['docker', 'run', '--rm', '--name', 'nanoclaw-s-1-0a'],
        ...['--mount', 'type=bind,source=/srv/s 1,target=/workspace'],
        ...['--mount', 'type=bind,source=/srv/in,target=/workspace/inbox,readonly', 'f:1'],
      ],
      env: {},
      kill: ['docker', 'rm', '--force', 'nanoclaw-s-1-0a'],
    },
  ],
  [
    'Apple’s container knows no hosts',
    { engine: 'apple', image: 'f:1' },
    HOOKED,
    {
      argv: [
        ...['container', 'run', '--rm', '--name', 'nanoclaw-s-1-0a', '--env', 'HTTPS_PROXY'],
        ...['--mount', 'type=bind,source=/srv/s 1,target=/workspace', '--mount', INBOX],
        ...['--mount', 'type=bind,source=/var/ca.pem,target=/tmp/ca.pem,readonly', 'f:1'],
      ],
      env: { HTTPS_PROXY: 'http://x:secret@gate:1' },
      kill: ['container', 'delete', '--force', 'nanoclaw-s-1-0a'],
    },
  ],
  ['a function has the last word', ({ name }) => ({ argv: ['run', name] }), RUN, { argv: ['run', RUN.name] }],
])('%s', (_, command, run, launch) => {
  expect(launchOf(command, run)).toEqual(launch)
})

test.each(['/srv/a,readonly=false', '/srv/a"b'])(
  'a folder whose path would end the option early is rejected: %s',
  (folder) => {
    const launch = () => launchOf({ engine: 'docker', image: 'f:1' }, { ...RUN, folder })
    expect(launch).toThrow(NanoclawError)
    expect(launch).toThrow(/cannot be mounted/)
  },
)

test('a container name is stable and unique per folder', () => {
  const names = ['/a/s-1', '/b/s-1', '/a/Grüße an alle', `/a/${'x'.repeat(200)}`].map(runName)
  expect(new Set(names).size).toBe(names.length)
  expect(runName('/a/s-1')).toBe(names[0])
  for (const name of names) expect(name).toMatch(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}$/)
})
