// The command as users run it: a process of its own, from the build, without variables.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { tempDir } from '../support/files.ts'

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
export const MAIN = join(REPOSITORY, 'dist/bin/main.js')
const DEADLINE_MS = 60_000

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Options {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

/** Runs it to its end. */
export async function nanoclaw(cwd: string, args: readonly string[], options: Options = {}): Promise<Ended> {
  const running = startNanoclaw(cwd, args, options)
  running.child.stdin?.end(options.input ?? '')
  return running.ended()
}

export interface Started {
  readonly child: ChildProcess
  /** Everything on stdout so far. */
  stdout(): string
  stderr(): string
  /** Resolves as soon as stdout has this. */
  says(text: string | RegExp): Promise<void>
  ended(): Promise<Ended>
}

/** Starts it; it is killed when the test ends, if it still runs then. */
export function startNanoclaw(cwd: string, args: readonly string[], options: Options = {}): Started {
  return startScript(MAIN, cwd, args, options)
}

/** The same for another script. */
export function startScript(
  script: string,
  cwd: string,
  args: readonly string[],
  { env }: Options = {},
): Started {
  const child = spawn(process.execPath, [script, ...args], {
    cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  const closed = once(child, 'close')
  return {
    child,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    async says(text) {
      await expect.poll(() => output.stdout, { timeout: DEADLINE_MS, interval: 20 }).toMatch(text)
    },
    async ended() {
      const [code] = (await closed) as [number | null]
      return { code, ...output }
    },
  }
}

/** A project without functions. */
export function emptyProject(): string {
  const dir = tempDir()
  mkdirSync(join(dir, 'functions'))
  return dir
}

/** What `init` makes, of which only the name in package.json depends on the folder. */
let made: Promise<ReadonlyMap<string, string>> | undefined

/** What `init` makes, with this very package installed. */
export async function initProject(): Promise<string> {
  made ??= init()
  const dir = tempDir()
  for (const [file, text] of await made) {
    mkdirSync(dirname(join(dir, file)), { recursive: true })
    writeFileSync(join(dir, file), text)
  }
  mkdirSync(join(dir, 'node_modules'))
  symlinkSync(REPOSITORY, join(dir, 'node_modules/nanoclaw-functions'))
  return dir
}

async function init(): Promise<ReadonlyMap<string, string>> {
  const dir = tempDir()
  const { code, stdout } = await nanoclaw(dir, ['init', '--json'])
  expect(code).toBe(0)
  const { files } = JSON.parse(stdout) as { files: readonly string[] }
  return new Map(files.map((file) => [file, readFileSync(join(dir, file), 'utf8')]))
}
