// Does the suite pass on the Node versions that users have? Each version gets a copy of this checkout, with
// better-sqlite3 compiled for it, and runs the whole suite there, one version after the other.
//   npm run test:nodes                           the versions below
//   npm run test:nodes -- 24 26                  these
//   npm run test:nodes -- 24 -- test/store       what follows `--` goes to vitest
// Node comes from the npm packages `node-<platform>-<arch>`, which have its binary and its headers. Both, and
// what was compiled, stay in node_modules/.cache/nodes. The exit code is 1 when a version fails.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listFiles } from '../support/tree.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CACHE = join(ROOT, 'node_modules/.cache/nodes')
const VERSIONS = ['20', '22', '24', '26']
const ADDON = 'node_modules/better-sqlite3/build'
const FAILURES_SHOWN = 30

interface Node {
  readonly home: string
  readonly version: string
}

interface Verdict {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly failures: readonly string[]
}

const args = process.argv.slice(2)
const end = args.includes('--') ? args.indexOf('--') : args.length
const versions = end === 0 ? VERSIONS : args.slice(0, end)
const forVitest = args.slice(end + 1)
const npm = process.env.npm_execpath
if (!npm) throw new Error('Start it with `npm run test:nodes`: it needs to know where npm is.')

const copy = mkdtempSync(join(tmpdir(), 'nanoclaw-nodes-'))
process.once('exit', () => rmSync(copy, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
// Some tests start processes of another user.
chmodSync(copy, 0o755)

const lines = versions.map((version) => {
  const startedMs = performance.now()
  const node = nodeOf(version)
  const checkout = checkoutFor(node)
  const { passed, failed, skipped, failures } = runTests(node, checkout)
  rmSync(checkout, { recursive: true })
  if (failed > 0 || passed === 0) process.exitCode = 1
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`
  return [`Node ${node.version.padEnd(10)} ${counts}`, ...failures.map((name) => `  ${name}`)].join('\n')
})
console.log(`\n${lines.join('\n')}`)

function nodeOf(version: string): Node {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const folder = join(CACHE, version)
  const home = join(folder, 'node_modules', name)
  if (!existsSync(home)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    execFileSync(process.execPath, [npm!, 'install', '--no-audit', '--no-fund', `${name}@${version}`], {
      cwd: folder,
      stdio: 'inherit',
    })
  }
  const { version: exact } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Node
  return { home, version: exact }
}

function checkoutFor(node: Node): string {
  const checkout = join(copy, node.version)
  for (const file of listFiles(ROOT)) {
    mkdirSync(dirname(join(checkout, file)), { recursive: true })
    cpSync(join(ROOT, file), join(checkout, file))
  }
  const own = [CACHE, join(ROOT, 'node_modules/.cache'), join(ROOT, ADDON)]
  cpSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !own.includes(path),
  })
  addAddon(node, checkout)
  return checkout
}

/** Compiled with the headers of that Node, once for each version of both. */
function addAddon(node: Node, checkout: string): void {
  const { version } = JSON.parse(readFileSync(join(checkout, dirname(ADDON), 'package.json'), 'utf8')) as Node
  const kept = join(CACHE, `better-sqlite3-${version}-node-${node.version}`)
  if (!existsSync(kept)) {
    const env = { ...envOf(node), npm_config_nodedir: node.home, npm_config_build_from_source: 'true' }
    const rebuild = [npm!, 'rebuild', 'better-sqlite3', '--foreground-scripts']
    execFileSync(join(node.home, 'bin/node'), rebuild, { cwd: checkout, env, stdio: 'inherit' })
    const built = readdirSync(join(checkout, ADDON, 'Release')).filter((file) => file.endsWith('.node'))
    for (const file of built) cpSync(join(checkout, ADDON, 'Release', file), join(kept, 'Release', file))
  }
  rmSync(join(checkout, ADDON), { recursive: true, force: true })
  cpSync(kept, join(checkout, ADDON), { recursive: true })
}

function runTests(node: Node, checkout: string): Verdict {
  const report = join(copy, `${node.version}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const { error, status } = spawnSync(
    join(node.home, 'bin/node'),
    ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...forVitest],
    { cwd: checkout, env: envOf(node), stdio: 'inherit' },
  )
  if (error) throw error
  // Where a worker of vitest crashes, tests are left that neither pass nor fail.
  const crashed = status !== 0 ? ['vitest ended with an error'] : []
  if (!existsSync(report)) return { passed: 0, failed: 0, skipped: 0, failures: ['vitest did not end'] }
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  const count = (...states: string[]) => tests.filter(({ status }) => states.includes(status)).length
  // A file that does not load has no tests that could fail.
  const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  const failed = tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
  return {
    passed: count('passed'),
    failed: Math.max(failed.length + broken.length, crashed.length),
    skipped: count('pending', 'skipped', 'todo', 'disabled'),
    failures: [...crashed, ...broken.map(({ name }) => name), ...failed].slice(0, FAILURES_SHOWN),
  }
}

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

function envOf(node: Node): NodeJS.ProcessEnv {
  const { PATH = '', ...rest } = process.env
  const env = Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith('npm_')))
  return { ...env, PATH: join(node.home, 'bin') + delimiter + PATH }
}
