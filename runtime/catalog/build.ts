// How a bundle is built; esbuild enters the project here. It comes in one of two forms. A script is up sooner, and V8 keeps what
// it has compiled of it (child/start.ts); but it has no top-level await, and must load what is outside by `require`. Code
// that cannot be a script is an ES module.
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
  /** Where the bundle will lie: its map names the sources from there. */
  readonly cache: string
  readonly external: readonly string[]
  /** The code that node runs first: it imports the shim and the author's module, both by their URLs. */
  readonly entry: string
  /** What an import from `nanoclaw-functions` gets. */
  readonly index: string
  /** Runs a script: a module that exports `start(path)`. */
  readonly starter: string
  /** Beginnings of paths of ours: part of the bundle, nothing to watch. */
  readonly own: readonly string[]
  readonly code: ErrorCode
}

export interface BuildOutput {
  readonly code: string
  readonly map: string
  /** The code that runs it, if it is a script. */
  readonly starter?: string
  /** Every file whose code is in it. */
  readonly sources: readonly string[]
  /** Those of the author, and the author's tsconfig files. */
  readonly inputs: readonly string[]
  /** What else has decided what it is made of. */
  readonly deciders: Deciders
  /** What has built it: another one may build the same sources differently. */
  readonly tools: readonly string[]
}

const TOOLS = [fileURLToPath(import.meta.url), createRequire(import.meta.url).resolve('esbuild/package.json')]

/** The namespace of modules that stand for `bindings`. */
const ADDONS = 'addons'

/** Ends esbuild's helper process; the next build starts another. */
export async function release(): Promise<void> {
  await stop()
}

/** What a build has met on its way. */
interface Trace {
  /** Files of code. */
  readonly read: Set<string>
  /** Of external packages: the bundle names where they were found. */
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

/** undefined: it has to be a module, or is wrong in a way that the other form tells as well. */
async function asScript(job: Job, trace: Trace): Promise<BuildOutput | undefined> {
  // A function that child/start.ts calls, as strict as a module is.
  const js = `(function (__nanoclawRequire) { 'use strict'; const require = __nanoclawRequire(${urlOf(job.path)});`
  try {
    const made = await esbuild({ ...settingsOf(job, trace), ...SCRIPT, banner: { js } })
    const built = builtOf(job, made, trace)
    if (importsOutside(made.metafile) || built.code.includes(META)) return undefined
    // Old dependencies may do what strict code must not (`with`, say); esbuild tells that of a module only.
    new Script(built.code)
    const { code, hidden } = await linked(job, built)
    return { ...built, code: (hidden ? NOT_KEPT : '') + code, starter: await starterOf(job) }
  } catch (error) {
    if (isBuildFailure(error) || error instanceof SyntaxError) return undefined
    throw error
  }
}

async function asModule(job: Job, trace: Trace): Promise<BuildOutput> {
  // Dependencies in CommonJS ask for node's modules by `require`, which an ES module has not.
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

/** An external package, by its URL as `externals` names it: it may be an ES module, which `require` does not load everywhere. */
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

/** It will lie beside this. */
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

/** As they stand in the sources, but those of external packages. */
function importsOf({ root }: Job, { inputs }: Metafile): Import[] {
  return Object.entries(inputs).flatMap(([input, { imports }]) =>
    imports.map(({ original, path }) => ({ importer: resolve(root, input), specifier: original ?? path })),
  )
}

/** With the tsconfig files that count for them. */
function authorsOf({ own }: Job, files: readonly string[]): string[] {
  const authors = files.filter((file) => !own.some((path) => file.startsWith(path)))
  return [...authors, ...tsconfigsOf(authors)].sort()
}

/** What a generated module imports. In a path, `*` would have a meaning of its own: a folder may have it in its name. */
function byUrl(): Plugin {
  return {
    name: 'by URL',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^file:/ }, ({ path, importer, namespace }) =>
        importer.endsWith(ENTRY) || namespace === ADDONS ? { path: fileURLToPath(path) } : undefined,
      ),
  }
}

/** A handler needs no node_modules: what it imports from us is us. */
function ourselves(index: string): Plugin {
  return {
    name: 'nanoclaw-functions',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^nanoclaw-functions$/ }, () => ({ path: index, sideEffects: false })),
  }
}

/**
 * An external package is found from the file that imports it and named by its full path: the bundle lies in the cache,
 * from where node might find another one, or none.
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
          // Node asks for an attribute, which esbuild leaves out; data is as well built in.
          if (found.path.endsWith('.json')) return { path: found.path }
          return { external: true, path: pathToFileURL(found.path).href }
        }
        // A require or a dynamic import may stand in a try: it fails when it runs, where its author can catch it.
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
 * The package `bindings` loads a native addon from the package that calls it, which it finds by the call's stack; in a bundle
 * that names the cache. So each package that imports it gets one that knows its folder.
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
