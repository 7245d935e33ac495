// The peers' packages, in a folder of their own outside of this project, kept for the next run. They are
// loaded from there by name and typed by what is used of them: this project depends on none of them.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const VERSIONS = {
  bullmq: '6.7.0',
  ioredis: '5',
  'graphile-worker': '0.17.3',
  plainjob: '0.0.14',
  zod: '4',
} as const

export type Package = keyof typeof VERSIONS

export const PEERS = join(process.env.BENCH_DIR ?? tmpdir(), 'nanoclaw-bench-peers')

/** Undefined when they are there, else why they are not. */
export function install(): string | undefined {
  const wanted = `${JSON.stringify({ private: true, dependencies: VERSIONS }, null, 2)}\n`
  const manifest = join(PEERS, 'package.json')
  const done = join(PEERS, 'node_modules/.package-lock.json')
  if (existsSync(done) && readFileSync(manifest, 'utf8') === wanted) return undefined
  mkdirSync(PEERS, { recursive: true })
  writeFileSync(manifest, wanted)
  // plainjob is given our better-sqlite3; what the others compile at install is optional.
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']
  const { status, stderr, error } = spawnSync('npm', args, { cwd: PEERS, encoding: 'utf8' })
  if (status === 0) return undefined
  return `npm could not install the peers: ${error?.message ?? stderr.trim().split('\n').at(-1)}`
}

/** The package as `require` gives it. */
export function load(name: Package): unknown {
  return createRequire(join(PEERS, 'package.json'))(name)
}

export function versionOf(name: Package): string {
  return JSON.parse(readFileSync(join(PEERS, 'node_modules', name, 'package.json'), 'utf8')).version
}
