// User code made into one file that a child can run from anywhere; esbuild enters the project here. A bundle holds the shim
// of the far side and the author's module, which the shim loads by a dynamic import, so that an error thrown at load is
// caught and reported like any other. Only node's own modules and `external` packages stay outside.
import { readFile } from 'node:fs/promises'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type BuildFailure, type BuildResult, build, type Plugin, stop, version } from 'esbuild'
import { realClock } from '../clock.ts'
import { type ErrorCode, NanoclawError } from '../protocol/errors.ts'
import { explainBuild } from './build-errors.ts'
import { covers } from './covers.ts'
import type { Source } from './discover.ts'
import { HERE_NAMES, sayHere } from './here.ts'
import { BuildMemory } from './memory.ts'
import { digest, shelve } from './shelf.ts'

export interface Bundle {
  /** One ES module file, complete with the shim. */
  readonly path: string
  readonly hash: string
  /** Every file of the author's that it was made from, absolute: what to watch. */
  readonly inputs: readonly string[]
}

export interface BundleOptions {
  readonly cache: string
  readonly root: string
  /** Packages that are not bundled (native ones, say): names, with `*` for any text. */
  readonly external: readonly string[]
  /** A module that exports `serve(load)`, instead of the child's own. */
  readonly shim?: string
}

const OURS = fileURLToPath(new URL('..', import.meta.url))
/** The same tree runs as written and as compiled; its own files end as this one does. */
const ENDING = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const ENTRY = 'nanoclaw-entry'

/**
 * Bundles a function for the child.
 * @throws NanoclawError `bad_function` with every error of the build, `bad_config` when the cache takes no files.
 */
export async function bundleFunction(source: Source, options: BundleOptions): Promise<Bundle> {
  const shim = options.shim ?? ours('child/main')
  return bundle({
    ...options,
    ...source,
    own: [shim],
    code: 'bad_function',
    entry: `import { serve } from ${quote(shim)}\nserve(() => import(${quote(source.path)}))`,
  })
}

/**
 * Bundles nanoclaw.config.ts: a program that sends a ConfigReport to its parent and ends.
 * @throws NanoclawError `bad_config`.
 */
export async function bundleConfig(
  path: string,
  options: Pick<BundleOptions, 'cache' | 'root'>,
): Promise<Bundle> {
  const file = relative(options.root, path).split(sep).join('/')
  const report = ours('catalog/config-entry')
  return bundle({
    ...options,
    name: 'nanoclaw.config',
    file,
    path,
    external: [],
    own: [],
    code: 'bad_config',
    entry: `import { reportConfig } from ${quote(report)}\nreportConfig(${quote(file)}, () => import(${quote(path)}))`,
  })
}

/** Ends esbuild's helper process, which otherwise stays, idle, as long as this one; the next bundle starts another. */
export async function releaseBundler(): Promise<void> {
  await stop()
}

interface Job extends Source {
  readonly cache: string
  readonly root: string
  readonly external: readonly string[]
  readonly entry: string
  /** Files of ours beside those in OURS: part of the bundle, nothing to watch. */
  readonly own: readonly string[]
  readonly code: ErrorCode
}

async function bundle(job: Job): Promise<Bundle> {
  const memory = new BuildMemory(job.cache, job.root, job.name)
  const key = digest(JSON.stringify([version, job]))
  const known = await memory.recall(key)
  if (known) return known
  const sinceMs = realClock.now()
  const { metafile, outputFiles } = await run(job)
  const textOf = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? ''
  const shelved = await shelve(job.cache, { ...job, code: textOf('.mjs'), map: textOf('.mjs.map') })
  const inputs = Object.keys(metafile.inputs)
    .filter((input) => input !== ENTRY)
    .map((input) => resolve(job.root, input))
  const theirs = inputs.filter((input) => !input.startsWith(OURS) && !job.own.includes(input)).sort()
  const made = { ...shelved, inputs: theirs }
  await memory.keep(key, made, [...inputs, fileURLToPath(import.meta.url)], sinceMs)
  return made
}

async function run(job: Job): Promise<BuildResult<{ metafile: true; write: false }>> {
  try {
    return await build({
      stdin: { contents: job.entry, resolveDir: job.root, sourcefile: ENTRY, loader: 'js' },
      absWorkingDir: job.root,
      outfile: resolve(job.cache, `${job.name}.mjs`),
      write: false,
      metafile: true,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      sourcemap: 'external',
      keepNames: true,
      logLevel: 'silent',
      define: HERE_NAMES,
      plugins: [ourselves(), externals(job.external), here()],
      banner: { js: requireFrom(job.path) },
    })
  } catch (error) {
    if (!isBuildFailure(error)) throw error
    throw new NanoclawError(job.code, explainBuild(job.file, error.errors), { cause: error })
  }
}

/** CommonJS dependencies ask for node's modules by `require`, which an ES module has not. */
function requireFrom(path: string): string {
  const from = quote(pathToFileURL(path).href)
  return `import { createRequire as __nanoclawRequire } from 'node:module'; const require = __nanoclawRequire(${from});`
}

/** A handler needs no node_modules: what it imports from us is us. */
function ourselves(): Plugin {
  return {
    name: 'nanoclaw-functions',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^nanoclaw-functions$/ }, () => ({ path: ours('index'), sideEffects: false })),
  }
}

/**
 * An external package is found from the file that imports it and named by its full path: the bundle lies in the cache,
 * from where node might find another one, or none.
 */
function externals(names: readonly string[]): Plugin {
  const seen = Symbol('already on its way')
  return {
    name: 'external',
    setup: ({ onResolve, resolve: find }) =>
      onResolve({ filter: /^[^./]/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
        if (pluginData === seen || !names.some((name) => covers(name, path))) return undefined
        const found = await find(path, { kind, importer, resolveDir, pluginData: seen })
        if (found.external) return found
        if (found.errors.length === 0) {
          return {
            external: true,
            path: kind.startsWith('require') ? found.path : pathToFileURL(found.path).href,
          }
        }
        // A require or a dynamic import may stand in a try: it fails when it runs, where its author can catch it.
        if (kind !== 'import-statement') return { external: true, path }
        return {
          errors: [{ text: `Could not resolve ${quote(path)}, which \`external\` names; install it` }],
        }
      }),
  }
}

function here(): Plugin {
  return {
    name: 'here',
    setup: ({ onLoad }) =>
      onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
        const contents = sayHere(path, await readFile(path, 'utf8'))
        return contents === undefined ? undefined : { contents, loader: 'default' }
      }),
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors)
}

function ours(module: string): string {
  return resolve(OURS, module + ENDING)
}

function quote(text: string): string {
  return JSON.stringify(text)
}
