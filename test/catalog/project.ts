// A fresh project folder for one test, and a real process that runs what was bundled from it.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, parse } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Bundle, type BundleOptions, Bundler } from '../../runtime/catalog/bundle.ts'
import type { FunctionSource } from '../../runtime/catalog/discover.ts'

/** Replaces the child's shim: calls the handler once and reports its result or error. */
const STAND_IN = `
export function serve(load) {
  load()
    .then(async ({ default: it }) => ({ gave: await (typeof it === 'function' ? it : it.handler)({ kind: 'test' }, {}) }))
    .catch((error) => ({ threw: error.message, stack: error.stack }))
    .then((report) => process.send(report))
}
`

const bundler = new Bundler()
export const bundleFunction = (source: FunctionSource, options: BundleOptions): Promise<Bundle> =>
  bundler.function(source, options)
export const bundleConfig = (path: string, options: BundleOptions): Promise<Bundle> =>
  bundler.config(path, options)
export const releaseBundler = (): Promise<void> => bundler.release()

/** A bundle that has not ended by then is killed, and its test fails on the exit code. */
const RUN_MS = 60_000

export interface Project {
  readonly root: string
  readonly functions: string
  readonly options: BundleOptions & { readonly shim: string }
  write(file: string, text: string): void
  at(file: string): string
  source(file: string): FunctionSource
}

export function project(files: Readonly<Record<string, string>>): Project {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'catalog-')))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const at = (file: string) => join(root, file)
  const write = (file: string, text: string) => {
    mkdirSync(dirname(at(file)), { recursive: true })
    writeFileSync(at(file), text)
  }
  for (const [file, text] of Object.entries({ ...files, 'stand-in/shim.mjs': STAND_IN })) write(file, text)
  return {
    root,
    functions: at('functions'),
    options: { cache: at('elsewhere/cache'), root, external: [], shim: at('stand-in/shim.mjs') },
    write,
    at,
    source: (file) => ({ name: parse(file).name, file, path: at(file) }),
  }
}

export interface Run {
  readonly messages: readonly unknown[]
  readonly code: number | null
  readonly printed: string
}

/** The result of the handler of `file` when its bundle runs. */
export async function gives(at: Project, file: string, external: readonly string[] = []): Promise<unknown> {
  const { path } = await bundleFunction(at.source(file), { ...at.options, external })
  const { messages, printed } = await run(path)
  return messages[0] ?? printed
}

/** Runs a bundle to its end, outside its project, and collects its reports and output. */
export function run(bundle: string, execArgv: readonly string[] = []): Promise<Run> {
  return ending(fork(bundle, { cwd: tmpdir(), silent: true, execArgv: [...execArgv], timeout: RUN_MS }))
}

/** The same for a bundle that does not end by itself: ended after its first message. */
export function runUntilFirstMessage(bundle: string, args: readonly string[]): Promise<Run> {
  const child = fork(bundle, [...args], { cwd: tmpdir(), silent: true, timeout: RUN_MS })
  child.once('message', () => child.kill())
  return ending(child)
}

function ending(child: ChildProcess): Promise<Run> {
  return new Promise((resolve, reject) => {
    const messages: unknown[] = []
    let printed = ''
    const keep = (chunk: Buffer) => {
      printed += chunk
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    child.on('message', (message) => messages.push(message))
    child.on('error', reject)
    child.on('close', (code) => resolve({ messages, code, printed }))
  })
}
