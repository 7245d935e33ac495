// The servers that peers need, started for this run in a scratch folder, on a socket there and no port. Each
// is durable: what was acknowledged is on the disk. A machine that has none, and cannot get one, gets the
// reason.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { pause, scratch } from '../lab.ts'
import { atEnd } from '../leave.ts'
import { PEERS } from './packages.ts'

export interface Server {
  readonly version: string
  /** A socket, or the folder that it is in. */
  readonly address: string
  stop(): Promise<void>
}

/** The server, or why there is none. */
export type Start = Promise<Server | string>

const READY_MS = 20_000

/** Every write is forced to the disk before it is answered; nothing else is written. */
export async function startRedis(): Start {
  const found = findRedis()
  if (typeof found === 'string') return found
  const dir = scratch('redis')
  const address = join(dir, 'redis.sock')
  const flags = ['--port', '0', '--unixsocket', address, '--dir', dir, '--daemonize', 'no']
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
  const child = spawn(found.path, [...flags, ...durable], { env: found.env, stdio: 'ignore' })
  const version = execFileSync(found.path, ['--version'], { env: found.env, encoding: 'utf8' })
  return started(child, `Redis ${version.match(/v=([\d.]+)/)?.[1]}`, address, dir, () => existsSync(address))
}

const REDIS_PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1']

/** The machine's own, or Debian's packages unpacked into the scratch folder; nothing is installed. */
function findRedis(): { path: string; env: NodeJS.ProcessEnv } | string {
  const own = onPath('redis-server')
  if (own) return { path: own, env: process.env }
  const dir = join(PEERS, 'redis')
  const path = join(dir, 'usr/bin/redis-server')
  const lib = join(dir, 'usr/lib', `${execLibFolder()}`)
  const env = { ...process.env, LD_LIBRARY_PATH: lib }
  if (existsSync(path)) return { path, env }
  if (!onPath('apt-get') || !onPath('dpkg')) return 'there is no redis-server, and no apt-get to bring one'
  mkdirSync(dir, { recursive: true })
  const { status, stderr } = spawnSync('apt-get', ['download', ...REDIS_PACKAGES], {
    cwd: dir,
    encoding: 'utf8',
  })
  if (status !== 0)
    return `there is no redis-server, and apt-get brings none: ${stderr.trim().split('\n').at(-1)}`
  for (const file of readdirSync(dir).filter((name) => name.endsWith('.deb')))
    execFileSync('dpkg', ['-x', join(dir, file), dir])
  return { path, env }
}

function execLibFolder(): string {
  return `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
}

/** PostgreSQL as it comes (fsync and synchronous_commit on), with more memory than its default. */
const GENEROUS = ['-c', 'shared_buffers=512MB', '-c', 'max_wal_size=4GB']

export async function startPostgres(): Start {
  const bin = findPostgres()
  if (bin === undefined) return 'there is no PostgreSQL (initdb, postgres)'
  const user = otherUser()
  if (typeof user === 'string') return user
  const dir = scratch('postgres')
  const data = join(dir, 'data')
  mkdirSync(data)
  if (user.uid !== undefined && user.gid !== undefined)
    for (const folder of [dir, data]) chownSync(folder, user.uid, user.gid)
  chmodSync(data, 0o700)
  const options = { ...user, cwd: dir, stdio: 'pipe' as const }
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'bench', '-A', 'trust', '--no-locale', '-E', 'UTF8'],
    options,
  )
  const flags = ['-D', data, '-k', dir, '-h', '', ...GENEROUS]
  const child = spawn(join(bin, 'postgres'), flags, { ...options, stdio: 'ignore' })
  const version = execFileSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' })
  const ready = () => spawnSync(join(bin, 'pg_isready'), ['-h', dir]).status === 0
  return started(child, `PostgreSQL ${version.match(/[\d.]+/)?.[0]}`, dir, dir, ready, 'SIGINT')
}

function findPostgres(): string | undefined {
  const own = onPath('initdb')
  if (own) return dirname(realpathSync(own))
  const root = '/usr/lib/postgresql'
  const [newest] = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  const bin = join(root, newest ?? '', 'bin')
  return existsSync(join(bin, 'initdb')) ? bin : undefined
}

/** PostgreSQL refuses to run as root. */
function otherUser(): { uid?: number; gid?: number } | string {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    const id = (flag: string) =>
      Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout || Number.NaN)
    const user = { uid: id('-u'), gid: id('-g') }
    if (Number.isInteger(user.uid) && Number.isInteger(user.gid)) return user
  }
  return 'PostgreSQL does not run as root, and there is no user postgres or nobody'
}

async function started(
  child: ChildProcess,
  version: string,
  address: string,
  dir: string,
  ready: () => boolean,
  end: 'SIGTERM' | 'SIGINT' = 'SIGTERM',
): Start {
  const exited = once(child, 'exit')
  const ended = atEnd(() => {
    child.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  })
  const server = {
    version,
    address,
    async stop() {
      child.kill(end)
      await exited
      rmSync(dir, { recursive: true, force: true })
      ended()
    },
  }
  const untilMs = performance.now() + READY_MS
  while (!ready()) {
    if (child.exitCode !== null) return `${version} ended at its start with ${child.exitCode}`
    if (performance.now() > untilMs) {
      await server.stop()
      return `${version} did not start within ${READY_MS / 1000} s`
    }
    await pause(50)
  }
  return server
}

function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
}
