// Bundles user code into one program that a child can run from anywhere. A bundle has the child's shim
// (child/) and the author's module, which the shim loads by a dynamic import, so that an error at load is
// caught and reported like any other. Only node's own modules and `external` packages are not bundled.
// build.ts does the build.
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { realClock } from '../protocol/clock.ts'
import type { Job } from './build.ts'
import { cacheBundle, digest, realFolder } from './bundle-cache.ts'
import { DefinitionCache } from './definition-cache.ts'
import type { FunctionSource } from './discover.ts'

export interface Bundle {
  /** The file for node to run. */
  readonly path: string
  /** All cache files of the bundle, `path` included. */
  readonly files: readonly string[]
  readonly hash: string
  /** Every source file of the author, absolute; the files to watch. */
  readonly inputs: readonly string[]
}

export interface BundleOptions {
  readonly cache: string
  readonly root: string
  /** Packages that are not bundled (such as native ones): names, with `*` for any text. */
  readonly external: readonly string[]
  /** A module that exports `serve(load)`, instead of the child's own. */
  readonly shim?: string
}

const OURS = fileURLToPath(new URL('..', import.meta.url))
/** This package runs from sources and compiled; its files have the extension of this one. */
const ENDING = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** Reuses earlier builds; the first build that is needed loads esbuild and starts its helper process. */
export class Bundler {
  #builder: Promise<typeof import('./build.ts')> | undefined
  /**
   * All running builds of this process: esbuild has one helper per process, and a build that loses it never
   * ends.
   */
  static readonly #going = new Set<Promise<Bundle>>()

  /**
   * Bundles a function for the child.
   * @throws BuildFault `bad_function` with every error of the build, NanoclawError `bad_config` when the
   *   cache is not writable.
   */
  function(source: FunctionSource, options: BundleOptions): Promise<Bundle> {
    const shim = options.shim ?? ours('child/main')
    return this.#bundle({
      ...options,
      ...source,
      own: [OURS, shim],
      code: 'bad_function',
      index: ours('index'),
      starter: ours('child/start'),
      entry: `import { serve } from ${urlOf(shim)}\nserve(() => import(${urlOf(source.path)}))`,
    })
  }

  /**
   * Bundles nanoclaw.config.ts: a program that sends a ConfigReport to its parent and ends.
   * @throws NanoclawError `bad_config`.
   */
  config(path: string, options: Pick<BundleOptions, 'cache' | 'root'>): Promise<Bundle> {
    const file = relative(options.root, path).split(sep).join('/')
    const report = ours('child/config')
    return this.#bundle({
      ...options,
      name: 'nanoclaw.config',
      file,
      path,
      external: [],
      own: [OURS],
      code: 'bad_config',
      index: ours('index'),
      starter: ours('child/start'),
      entry: `import { reportConfig } from ${urlOf(report)}\nreportConfig(${JSON.stringify(file)}, () => import(${urlOf(path)}))`,
    })
  }

  /** Ends esbuild's idle helper process; the next build starts another. */
  async release(): Promise<void> {
    while (Bundler.#going.size > 0) await Promise.allSettled(Bundler.#going)
    const builder = await this.#builder
    await builder?.release()
  }

  /** The helper must not end during a build. */
  #bundle(job: Job): Promise<Bundle> {
    const going = this.#make(job)
    Bundler.#going.add(going)
    return going.finally(() => Bundler.#going.delete(going))
  }

  async #make(given: Job): Promise<Bundle> {
    const job = { ...given, cache: await realFolder(given.cache) }
    const memory = new DefinitionCache(job.cache, job.root, job.name)
    const key = digest(JSON.stringify(job))
    const known = await memory.recall(key)
    if (known) return known
    const sinceMs = realClock.now()
    this.#builder ??= import('./build.ts').catch((error) => {
      // A lack of descriptors is temporary.
      this.#builder = undefined
      throw error
    })
    const { sources, inputs, deciders, tools, code, map, starter } = await (await this.#builder).build(job)
    const { cache, root, name } = job
    const shelved = await cacheBundle(cache, { root, name, code, map, starter })
    const made = { ...shelved, inputs }
    await memory.keep(key, made, [...sources, ...tools], sinceMs, deciders)
    return made
  }
}

function ours(module: string): string {
  return resolve(OURS, module + ENDING)
}

function urlOf(path: string): string {
  return JSON.stringify(pathToFileURL(path).href)
}
