// `nanoclaw start` as a process of its own, as a person or a container starts it: for faults that need a
// process.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { openDb } from './files.ts'

export const CLI = fileURLToPath(new URL('../../dist/bin/main.js', import.meta.url))

export interface ServeOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Before node: a tracer, a limit. */
  readonly before?: readonly string[]
  readonly args?: readonly string[]
}

export interface Served {
  readonly process: ChildProcess
  /** Its log so far. */
  lines(): { readonly level: string; readonly msg: string; readonly [field: string]: any }[]
  /** All that it has written to stderr. */
  text(): string
  /** Resolves with its exit code, or the signal that it died of. */
  readonly ended: Promise<number | string>
}

/** `stderr` is read continuously; a test may pause it. Killed when the test ends. */
export function serve(root: string, workspace: string, options: ServeOptions = {}): Served {
  const { env = {}, before = [], args = [] } = options
  const [command = '', ...rest] = [
    ...before,
    process.execPath,
    CLI,
    'start',
    '--workspace',
    workspace,
    ...args,
  ]
  const child = spawn(command, rest, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stderr!.setEncoding('utf8').on('data', (said: string) => (text += said))
  return {
    process: child,
    lines: () =>
      text
        .slice(0, text.lastIndexOf('\n') + 1)
        .split('\n')
        .flatMap((line) => (line.startsWith('{') ? (JSON.parse(line) as any) : [])),
    text: () => text,
    ended: once(child, 'close').then(([code, signal]) => code ?? signal),
  }
}

/** Acks by message id, as a host sees them; empty while the file is missing or not readable. */
export function acksAt(path: string): Record<string, string> {
  try {
    const db = openDb(path, { readonly: true })
    try {
      return Object.fromEntries(
        db.prepare('select message_id, status from processing_ack').raw().all() as [string, string][],
      )
    } finally {
      db.close()
    }
  } catch {
    return {}
  }
}
