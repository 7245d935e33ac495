// What functions say of themselves: only a child can tell, since the code never enters this process. A start believes what
// an earlier one has heard of the same bundle in the same environment, and asks afterwards.

import { errorText } from '../protocol/errors.ts'
import type { FunctionSpec } from '../protocol/function.ts'
import type { Bundle } from './bundle.ts'
import { DefinitionCache } from './definition-cache.ts'
import type { FunctionSource } from './discover.ts'

/** Starts a child for a bundle, and gives back what it reports of itself. */
export interface Loader {
  load(name: string, bundle: string): Promise<unknown>
}

export interface DefinitionsParts {
  readonly cache: string
  readonly root: string
  readonly loader: Loader
  /** What a child sees of the environment. */
  readonly env: Readonly<Record<string, string>>
}

/** The module threw, ended its process or took too long: the same source may load another time. */
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

  /** Whether a child has said something else than what had been heard, or nothing. */
  doubts(bundle: string): boolean {
    return this.#doubted.has(bundle)
  }

  /** Starts a child of each function that was believed; false: some are to be built anew. */
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
