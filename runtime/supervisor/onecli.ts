// Preparing a runtime for a OneCLI gateway, which holds the credentials: the folder has an agent identity
// there, and its runtime goes through the gateway's proxy and trusts its certificate. Without an answer from
// the gateway the start fails: the runtime would call other services unguarded.
import { createHash } from 'node:crypto'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { errorText } from '../protocol/errors.ts'
import type { Prepare, Prepared } from './prepare.ts'

export interface OneCliOptions {
  /** The gateway's web address, such as `http://127.0.0.1:10254`. */
  readonly url: string
  readonly apiKey?: string
  /** Directory for the gateway's certificate, readable by runtimes; only the host may write there. */
  readonly certificates: string
  /**
   * The gateway identity of a folder. Default: derived from the folder's name and path, so that it is unique.
   */
  readonly agent?: (folder: string) => OneCliAgent
  /**
   * `container` (default): the certificate is mounted at the path that the gateway names. `local`: its path
   * on this machine is used.
   */
  readonly runtime?: 'container' | 'local'
  /** Time limit of each of the two requests, milliseconds. Default 10,000. */
  readonly timeoutMs?: number
}

export interface OneCliAgent {
  readonly name: string
  /** Small letters, digits and hyphens, a letter first. */
  readonly identifier: string
}

interface ContainerConfig {
  readonly env: Readonly<Record<string, string>>
  readonly caCertificate: string
  readonly caCertificateContainerPath: string
}

/** For `prepare` of supervise(). */
export function oneCli(options: OneCliOptions): Prepare {
  return async (folder, signal) => {
    const agent = (options.agent ?? agentOf)(folder)
    await ensureAgent(options, agent, signal)
    return prepared(options, await containerConfig(options, agent, signal))
  }
}

/** 409: it exists already. */
async function ensureAgent(options: OneCliOptions, agent: OneCliAgent, signal: AbortSignal): Promise<void> {
  const answer = await ask(options, '/api/agents', signal, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: agent.name, identifier: agent.identifier }),
  })
  if (!answer.ok && answer.status !== 409) throw await refusal('POST /api/agents', answer)
}

async function containerConfig(
  options: OneCliOptions,
  { identifier }: OneCliAgent,
  signal: AbortSignal,
): Promise<ContainerConfig> {
  const path = `/api/container-config?agent=${encodeURIComponent(identifier)}`
  const answer = await ask(options, path, signal, {})
  if (!answer.ok) throw await refusal(`GET ${path}`, answer)
  const config: unknown = await answer.json().catch(() => undefined)
  if (isConfig(config)) return config
  throw new Error(
    `OneCLI: GET ${path} returned an unexpected body; expected { env, caCertificate, caCertificateContainerPath }`,
  )
}

function prepared({ certificates, runtime = 'container' }: OneCliOptions, config: ContainerConfig): Prepared {
  const file = keepCertificate(resolve(certificates), config.caCertificate)
  const { env, caCertificateContainerPath: target } = config
  if (runtime === 'container')
    return {
      env,
      mounts: [{ source: file, target, readonly: true }],
      // Docker Desktop resolves this name by itself; Linux needs the entry.
      hosts: process.platform === 'linux' ? [`${CONTAINER_HOST}:host-gateway`] : [],
    }
  const local = (value: string) => (value === target ? file : value.replaceAll(CONTAINER_HOST, '127.0.0.1'))
  return { env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, local(value)])) }
}

/** The name of the host machine inside a container. */
const CONTAINER_HOST = 'host.docker.internal'
const TIMEOUT_MS = 10_000
/** Length of a quoted response in an error text. */
const ANSWER_CHARS = 300

async function ask(
  { url, apiKey, timeoutMs = TIMEOUT_MS }: OneCliOptions,
  path: string,
  signal: AbortSignal,
  init: RequestInit,
): Promise<Response> {
  try {
    return await fetch(url.replace(/\/+$/, '') + path, {
      ...init,
      headers: { ...init.headers, ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) },
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
  } catch (cause) {
    const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    throw new Error(`OneCLI at ${url} does not answer: ${errorText(why)}. Is the gateway running?`, { cause })
  }
}

async function refusal(what: string, answer: Response): Promise<Error> {
  const text = await answer.text().catch(() => '')
  return new Error(`OneCLI: ${what} answered ${answer.status}: ${text.slice(0, ANSWER_CHARS)}`)
}

/** Named by its content and renamed into place: concurrent starts write the same file. */
function keepCertificate(folder: string, certificate: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const file = join(
    folder,
    `onecli-${createHash('sha256').update(certificate).digest('hex').slice(0, 16)}.pem`,
  )
  writeFileSync(`${file}.${process.pid}`, certificate, { mode: 0o644 })
  renameSync(`${file}.${process.pid}`, file)
  return file
}

function agentOf(folder: string): OneCliAgent {
  const spoken = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 12)
  return {
    name: basename(folder),
    identifier: `nanoclaw-${spoken.slice(0, 40)}-${hash}`.replaceAll('--', '-'),
  }
}

function isConfig(value: unknown): value is ContainerConfig {
  if (typeof value !== 'object' || value === null) return false
  const { env, caCertificate, caCertificateContainerPath: path } = value as Record<string, unknown>
  if (typeof caCertificate !== 'string' || caCertificate === '') return false
  if (typeof path !== 'string' || !path.startsWith('/')) return false
  return typeof env === 'object' && env !== null && Object.entries(env).every(isVariable)
}

function isVariable([name, value]: [string, unknown]): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && typeof value === 'string' && !value.includes('\0')
}
