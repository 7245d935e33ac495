// How a bundle is built; esbuild enters the project here. It comes in one of two forms. A script starts
// faster, and V8's compiled code for it can be cached (child/start.ts); but it has no top-level await, and
// loads external modules by `require`. Code that cannot be a script becomes an ES module.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Script } from 'node:vm'
import {
  type BuildFailure,
  type BuildOptions,
  type BuildResult,
  build as esbuild,
  type Metafile,
  type Plugin,
  stop,
  transform,
} from 'esbuild'
import type { ErrorCode } from '../protocol/errors.ts'
import { ENTRY, NOT_KEPT } from '../protocol/ipc.ts'
import { BuildFault, causesOf, explainBuild } from './build-errors.ts'
import { covers } from './covers.ts'
import type { FunctionSource } from './discover.ts'
import { type Linked, linkImports } from './live-imports.ts'
import { type Deciders, decidersOf, type Import, packageFolderOf, tsconfigsOf } from './lookups.ts'
import { HERE_NAMES, META, sayHere } from './package-paths.ts'

export interface Job extends FunctionSource {
  readonly root: string
  /** Folder of the bundle: the paths in its map are relative to it. */
  readonly cache: string
  readonly external: readonly string[]
  /** The code that node runs first: it imports the shim and the author's module, both by their URLs. */
  readonly entry: string
  /** The module that an import of `nanoclaw-functions` resolves to. */
  readonly index: string
  /** Runs a script: a module that exports `start(path)`. */
  readonly starter: string
  /** Path prefixes of this package: bundled, but not watched. */
  readonly own: readonly string[]
  readonly code: ErrorCode
}

export interface BuildOutput {
  readonly code: string
  readonly map: string
  /** The starter code, if it is a script. */
  readonly starter?: string
  /** Every file whose code is in the bundle. */
  readonly sources: readonly string[]
  /** The author's source files and tsconfig files. */
  readonly inputs: readonly string[]
  /** Further paths that decided the build (lookups.ts). */
  readonly deciders: Deciders
  /** The version of the builder: another one may build the same sources differently. */
  readonly tools: readonly string[]
}

const TOOLS = [fileURLToPath(import.meta.url), createRequire(import.meta.url).resolve('esbuild/package.json')]

/** Namespace of the modules that replace `bindings`. */
const ADDONS = 'addons'

/** Ends esbuild's helper process; the next build starts another. */
export async function release(): Promise<void> {
  await stop()
}

/** State of one build. */
interface Trace {
  /** Files of code. */
  readonly read: Set<string>
  /** Paths of external packages: the bundle refers to them. */
  readonly imports: Import[]
}

/** @throws BuildFault with every error of the build, by the job's code */
export async function build(job: Job): Promise<BuildOutput> {
  const trace: Trace = { read: new Set([job.path]), imports: [] }
  try {
    return (await asScript(job, trace)) ?? (await asModule(job, trace))
  } catch (error) {
    if (!isBuildFailure(error)) throw error
    const { inputs, awaited } = causesOf(error.errors, job.root, trace.read)
    const causes = { inputs: authorsOf(job, inputs), awaited }
    throw new BuildFault(job.code, explainBuild(job.file, error.errors), causes, { cause: error })
  }
}

/** undefined: it must be a module, or has an error that the module build reports as well. */
async function asScript(job: Job, trace: Trace): Promise<BuildOutput | undefined> {
  // A function that child/start.ts calls, as strict as a module is.
  const js = `(function (__nanoclawRequire) { 'use strict'; const require = __nanoclawRequire(${urlOf(job.path)});`
  try {
    const made = await esbuild({ ...settingsOf(job, trace), ...SCRIPT, banner: { js } })
    const built = builtOf(job, made, trace)
    if (importsOutside(made.metafile) || built.code.includes(META)) return undefined
    // Old dependencies may use what strict code must not (such as `with`); esbuild reports that for a module
    // only.
    new Script(built.code)
    const { code, hidden } = await linked(job, built)
    return { ...built, code: (hidden ? NOT_KEPT : '') + code, starter: await starterOf(job) }
  } catch (error) {
    if (isBuildFailure(error) || error instanceof SyntaxError) return undefined
    throw error
  }
}

async function asModule(job: Job, trace: Trace): Promise<BuildOutput> {
  // Dependencies in CommonJS load node's modules by `require`, which an ES module does not have.
  const js = `import { createRequire as __nanoclawRequire } from 'node:module'; const require = __nanoclawRequire(${urlOf(job.path)});`
  const built = builtOf(
    job,
    await esbuild({ ...settingsOf(job, trace), format: 'esm', banner: { js } }),
    trace,
  )
  return { ...built, code: (await linked(job, built)).code }
}

function linked(job: Job, { code, map }: BuildOutput): Promise<Linked> {
  const parses = (text: string) =>
    transform(text, { logLevel: 'silent' }).then(
      () => true,
      () => false,
    )
  return linkImports(code, map, bundleOf(job), parses)
}

/**
 * An external package, by its URL as `externals` names it: it may be an ES module, which `require` does not
 * load everywhere.
 */
function importsOutside({ inputs }: Metafile): boolean {
  return Object.values(inputs).some(({ imports }) => imports.some(({ path }) => path.startsWith('file:')))
}

async function starterOf({ root, starter }: Job): Promise<string> {
  const contents = `import { start } from ${urlOf(starter)}\nstart(__filename)`
  const stdin = { contents, resolveDir: root, sourcefile: ENTRY }
  const { outputFiles } = await esbuild({ ...COMMON, stdin, format: 'cjs', plugins: [byUrl()] })
  return outputFiles[0]?.text ?? ''
}

const COMMON = {
  write: false,
  bundle: true,
  platform: 'node',
  target: 'node20',
  logLevel: 'silent',
} as const satisfies BuildOptions

const SCRIPT = {
  format: 'cjs',
  footer: { js: '})' },
  define: { ...HERE_NAMES, 'import.meta': META },
} as const satisfies BuildOptions

function settingsOf({ entry, root, cache, name, external, index }: Job, { read, imports }: Trace) {
  return {
    ...COMMON,
    stdin: { contents: entry, resolveDir: root, sourcefile: ENTRY, loader: 'js' },
    absWorkingDir: root,
    outfile: bundleOf({ cache, name }),
    metafile: true,
    sourcemap: 'external',
    keepNames: true,
    define: HERE_NAMES,
    plugins: [byUrl(), ourselves(index), externals(external, imports), addons(), here(read)],
  } as const satisfies BuildOptions
}

/** The starter is written beside the bundle. */
function bundleOf({ cache, name }: Pick<Job, 'cache' | 'name'>): string {
  return resolve(cache, `${name}.js`)
}

function builtOf(
  job: Job,
  { metafile, outputFiles }: BuildResult<{ metafile: true; write: false }>,
  { imports }: Trace,
): BuildOutput {
  const textOf = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? ''
  const sources = Object.keys(metafile.inputs)
    .filter((input) => input !== ENTRY && !input.startsWith(`${ADDONS}:`))
    .map((input) => resolve(job.root, input))
  const deciders = decidersOf(sources, [...importsOf(job, metafile), ...imports])
  const inputs = authorsOf(job, sources)
  const tools = [...TOOLS, job.starter]
  return { code: textOf('.js'), map: textOf('.js.map'), sources, inputs, deciders, tools }
}

/** Import paths as in the sources, except external packages. */
function importsOf({ root }: Job, { inputs }: Metafile): Import[] {
  return Object.entries(inputs).flatMap(([input, { imports }]) =>
    imports.map(({ original, path }) => ({ importer: resolve(root, input), specifier: original ?? path })),
  )
}

/** Includes the tsconfig files that apply to them. */
function authorsOf({ own }: Job, files: readonly string[]): string[] {
  const authors = files.filter((file) => !own.some((path) => file.startsWith(path)))
  return [...authors, ...tsconfigsOf(authors)].sort()
}

/**
 * The import path in a generated module. `*` is escaped: a folder may have it in its name, and esbuild would
 * treat it as a pattern.
 */
function byUrl(): Plugin {
  return {
    name: 'by URL',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^file:/ }, ({ path, importer, namespace }) =>
        importer.endsWith(ENTRY) || namespace === ADDONS ? { path: fileURLToPath(path) } : undefined,
      ),
  }
}

/** A handler needs no node_modules: `nanoclaw-functions` resolves to this package. */
function ourselves(index: string): Plugin {
  return {
    name: 'nanoclaw-functions',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^nanoclaw-functions$/ }, () => ({ path: index, sideEffects: false })),
  }
}

/**
 * Resolves an external package from the file that imports it, to its full path: from the cache folder, node
 * might find another one, or fail.
 */
function externals(names: readonly string[], imports: Import[]): Plugin {
  const seen = Symbol('already on its way')
  return {
    name: 'external',
    setup: ({ onResolve, resolve: find }) =>
      onResolve({ filter: /^[^./]/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
        if (pluginData === seen || !names.some((name) => covers(name, path))) return undefined
        imports.push({ importer, specifier: path })
        const found = await find(path, { kind, importer, resolveDir, pluginData: seen })
        if (found.external) return found
        if (found.errors.length === 0) {
          if (kind.startsWith('require')) return { external: true, path: found.path }
          // Node requires an import attribute, which esbuild drops; so data files are bundled.
          if (found.path.endsWith('.json')) return { path: found.path }
          return { external: true, path: pathToFileURL(found.path).href }
        }
        // A require or a dynamic import may be in a try block: it fails at run time, where its author can
        // catch it.
        if (kind !== 'import-statement') return { external: true, path }
        return {
          errors: [
            { text: `Could not resolve ${JSON.stringify(path)}, which \`external\` names; install it` },
          ],
        }
      }),
  }
}

/**
 * The package `bindings` finds a native addon through the call stack, which in a bundle points to the cache.
 * So each package that imports it gets a replacement with the package's folder.
 */
function addons(): Plugin {
  const seen = Symbol('already on its way')
  return {
    name: ADDONS,
    setup({ onResolve, onLoad, resolve: find }) {
      onResolve({ filter: /^bindings$/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
        if (pluginData === seen) return undefined
        const {
          errors,
          external,
          path: found,
        } = await find(path, { kind, importer, resolveDir, pluginData: seen })
        if (errors.length > 0 || external) return undefined
        return { path: importer, namespace: ADDONS, pluginData: found }
      })
      onLoad({ filter: /./, namespace: ADDONS }, ({ path, pluginData: found }) => ({
        contents: `const bindings = require(${urlOf(found)})
          const from = { module_root: ${JSON.stringify(packageFolderOf(path))} }
          module.exports = (given) => bindings({ ...from, ...(typeof given === 'string' ? { bindings: given } : given) })
          Object.assign(module.exports, bindings)`,
        resolveDir: dirname(path),
      }))
    },
  }
}

/** `read` gets the path of each file of code. */
function here(read: Set<string>): Plugin {
  return {
    name: 'here',
    setup: ({ onLoad }) =>
      onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
        read.add(path)
        const contents = sayHere(path, await readFile(path, 'utf8'))
        return contents === undefined ? undefined : { contents, loader: 'default' }
      }),
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors)
}

function urlOf(path: string): string {
  return JSON.stringify(pathToFileURL(path).href)
}
