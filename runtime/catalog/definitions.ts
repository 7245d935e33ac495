// The definitions of functions: only a child can read them, since user code never runs in this process. A
// start uses the cached definition of the same bundle in the same environment, and verifies it afterwards.

import { errorText } from '../protocol/errors.ts'
import type { FunctionSpec } from '../protocol/function.ts'
import type { Bundle } from './bundle.ts'
import { DefinitionCache } from './definition-cache.ts'
import type { FunctionSource } from './discover.ts'

/** Starts a child for a bundle and returns the definition that it reports. */
export interface Loader {
  load(name: string, bundle: string): Promise<unknown>
}

export interface DefinitionsParts {
  readonly cache: string
  readonly root: string
  readonly loader: Loader
  /** The environment of a child. */
  readonly env: Readonly<Record<string, string>>
}

/** The module threw, ended its process or timed out: the same source may load another time. */
export class LoadError extends Error {}

export class Definitions {
  readonly #parts: DefinitionsParts
  /** By bundle. */
  readonly #heard = new Map<string, unknown>()
  readonly #doubted = new Set<string>()

  constructor(parts: DefinitionsParts) {
    this.#parts = parts
  }

  /** @throws LoadError */
  async of({ name }: FunctionSource, { path, hash }: Bundle): Promise<unknown> {
    const { cache, root, env, loader } = this.#parts
    const memory = new DefinitionCache(cache, root, name)
    const heard = this.doubts(path) ? undefined : await memory.definition(hash, env)
    if (heard !== undefined) {
      this.#heard.set(path, heard)
      return heard
    }
    const said = await loader.load(name, path).catch((error) => {
      throw new LoadError(errorText(error))
    })
    this.#doubted.delete(path)
    await memory.keepDefinition(hash, env, said)
    return said
  }

  /** Whether a child reported another definition than the cached one, or failed. */
  doubts(bundle: string): boolean {
    return this.#doubted.has(bundle)
  }

  /** Verifies each function whose cached definition was used; false: some must be built again. */
  async confirm(specs: readonly FunctionSpec[]): Promise<boolean> {
    await Promise.all(
      specs.map(async ({ name, bundle }) => {
        const heard = this.#heard.get(bundle)
        if (!this.#heard.delete(bundle)) return
        const said = await this.#parts.loader.load(name, bundle).catch(() => undefined)
        if (JSON.stringify(said) !== JSON.stringify(heard)) this.#doubted.add(bundle)
      }),
    )
    return this.#doubted.size === 0
  }
}
