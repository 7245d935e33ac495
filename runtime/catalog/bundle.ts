// User code made into one program that a child can run from anywhere. A bundle holds the shim of the far side and the
// author's module, which the shim loads by a dynamic import, so that an error thrown at load is caught and reported like any
// other. Only node's own modules and `external` packages stay outside. How it is built stands in build.ts.
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { realClock } from '../protocol/clock.ts'
import type { Job } from './build.ts'
import { cacheBundle, digest, realFolder } from './bundle-cache.ts'
import { DefinitionCache } from './definition-cache.ts'
import type { FunctionSource } from './discover.ts'

export interface Bundle {
  /** What node is to run. */
  readonly path: string
  /** All that a build writes into the cache for it, `path` among them. */
  readonly files: readonly string[]
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

/** Knows what was built before; esbuild, and its helper process, are loaded by the first build that is needed. */
export class Bundler {
  #builder: Promise<typeof import('./build.ts')> | undefined
  /** What is being built, by whomever: esbuild has one helper for the whole process, and a build that loses it never ends. */
  static readonly #going = new Set<Promise<Bundle>>()

  /**
   * Bundles a function for the child.
   * @throws BuildFault `bad_function` with every error of the build, NanoclawError `bad_config` when the cache takes no files.
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

  /** Ends esbuild's helper process, which otherwise stays, idle, as long as this one; the next build starts another. */
  async release(): Promise<void> {
    while (Bundler.#going.size > 0) await Promise.allSettled(Bundler.#going)
    const builder = await this.#builder
    await builder?.release()
  }

  /** The helper must not end while something is built. */
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
      // A lack of descriptors passes.
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
