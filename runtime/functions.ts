// From source files to a catalog: discover, bundle, start a child that reports what the function is, check it, route by it.
// The code of a function never enters this process. A reload builds the next catalog beside the one in use; a function that
// got worse (it does not build, or says something illegal) stays what it was until its source is right again.
// A start takes what the last one has built and heard, where nothing has changed since, and asks a child afterwards.
import type { Bundle, Bundler } from './catalog/bundle.ts'
import { Catalog } from './catalog/catalog.ts'
import { parseDefinition } from './catalog/definition.ts'
import { discover, type Source } from './catalog/discover.ts'
import type { Clock, Timer } from './clock.ts'
import { Definitions, LoadError, type Loader } from './definitions.ts'
import type { Config } from './protocol/config.ts'
import { errorText, NanoclawError } from './protocol/errors.ts'
import type { Events } from './protocol/events.ts'
import type { FunctionSpec } from './protocol/function.ts'

export interface FunctionsParts {
  readonly config: Config
  readonly clock: Clock
  readonly events: Events
  readonly bundler: Bundler
  readonly loader: Loader & { keepOnly(bundles: ReadonlySet<string>): void }
  /** What a child sees of the environment: its definition may depend on it. */
  readonly env: Readonly<Record<string, string>>
  /** Functions whose module did not load are to be tried again. */
  readonly onRetry: () => void
}

/** What became of one source. `wrong`: it must be edited. `broken`: it did not load, which may pass. */
type Built =
  | { readonly source: Source; readonly spec: FunctionSpec; readonly bundle: Bundle }
  | { readonly source: Source; readonly wrong: string; readonly bundle?: Bundle }
  | { readonly source: Source; readonly broken: string; readonly bundle: Bundle }

/** A module that does not load is tried again after this, doubled each time up to the maximum. */
const LOAD_RETRY_MIN_MS = 500
const LOAD_RETRY_MAX_MS = 30_000

export class Functions {
  readonly #parts: FunctionsParts
  readonly #definitions: Definitions
  #catalog = new Catalog([])
  #built: readonly Built[] = []
  #retry: Timer | undefined
  #failures = 0
  #stopped = false

  constructor(parts: FunctionsParts) {
    this.#parts = parts
    this.#definitions = new Definitions({ ...parts.config, ...parts })
  }

  get catalog(): Catalog {
    return this.#catalog
  }

  /** Every function, and what is wrong with it, if anything. */
  get list(): readonly { readonly name: string; readonly file: string; readonly broken?: string }[] {
    return this.#built.map((built) => {
      const { name, file } = built.source
      return 'spec' in built
        ? { name, file }
        : { name, file, broken: 'wrong' in built ? built.wrong : built.broken }
    })
  }

  /** How long a run of this function may last, from its claim until its process is killed. */
  limitMsOf(name: string): number {
    const { abortGraceMs, killGraceMs } = this.#parts.config
    return (this.#catalog.get(name)?.timeoutMs ?? 0) + abortGraceMs + killGraceMs
  }

  /** Source files, to be watched. */
  get inputs(): readonly string[] {
    return this.#built.flatMap(({ bundle }) => bundle?.inputs ?? [])
  }

  /**
   * Builds all functions. One that does not load is left out and tried again in the background.
   * @throws NanoclawError `bad_function` naming every function that does not build, is not legal, or clashes with another
   */
  async start(): Promise<void> {
    const built = await this.#build()
    const wrong = built.flatMap((each) => ('wrong' in each ? each.wrong : []))
    if (wrong.length > 0) throw new NanoclawError('bad_function', wrong.join('\n'))
    this.#use(built)
  }

  /** Asks a child of each function that was taken up by hearsay; then nothing is to be built for a while. */
  async confirm(): Promise<void> {
    const right = await this.#definitions.confirm(specsOf(this.#built))
    if (right) await this.#parts.bundler.release()
    else if (!this.#stopped) this.#parts.onRetry()
  }

  /** Builds again what has changed; returns the names of functions that are different now. Never throws for a bad source. */
  async reload(): Promise<readonly string[]> {
    const before = new Map(this.#built.map((each) => [each.source.name, each]))
    const built = (await this.#build()).map((each) => {
      const old = before.get(each.source.name)
      if ('spec' in each) return each
      const kept = old && 'spec' in old ? { ...old, bundle: each.bundle ?? old.bundle } : undefined
      // One that only did not load is reported with the time of its next try.
      if (kept || 'wrong' in each) this.#report(each)
      return kept ?? each
    })
    try {
      this.#use(built)
    } catch (error) {
      for (const { source } of built)
        if (before.get(source.name) === undefined)
          this.#parts.events.emit('function-broken', {
            functionName: source.name,
            message: errorText(error),
            retryMs: null,
          })
      return []
    }
    const specOf = (each: Built | undefined) => (each && 'spec' in each ? each.spec : undefined)
    const names = new Set([...before.keys(), ...built.map(({ source }) => source.name)])
    const after = new Map(built.map((each) => [each.source.name, each]))
    return [...names].filter((name) => specOf(before.get(name)) !== specOf(after.get(name)))
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
  }

  async #build(): Promise<readonly Built[]> {
    const { functions, root } = this.#parts.config
    const sources = await discover(functions, root)
    return Promise.all(sources.map((source) => this.#buildOne(source)))
  }

  async #buildOne(source: Source): Promise<Built> {
    const { config } = this.#parts
    const { cache, root, external } = config
    let bundle: Bundle | undefined
    try {
      // Nothing else of the config: a bundle is made anew when anything differs that is given here.
      bundle = await this.#parts.bundler.function(source, { cache, root, external })
      const { path } = bundle
      const known = this.#built.find((each) => 'spec' in each && each.spec.bundle === path)
      if (known && !this.#definitions.doubts(path)) return { ...known, source, bundle }
      const definition = await this.#definitions.of(source, bundle)
      return { source, bundle, spec: parseDefinition(definition, source, path, config) }
    } catch (error) {
      if (error instanceof LoadError && bundle)
        return { source, bundle, broken: `${source.file} does not load: ${error.message}` }
      if (error instanceof NanoclawError && error.code === 'bad_function')
        return { source, wrong: error.message, ...(bundle && { bundle }) }
      throw error
    }
  }

  #use(built: readonly Built[]): void {
    const specs = specsOf(built)
    const broken = built.filter((each) => !('spec' in each))
    this.#catalog = new Catalog(
      specs,
      broken.map(({ source }) => source.name),
    )
    this.#built = built
    this.#parts.loader.keepOnly(new Set(specs.map(({ bundle }) => bundle)))
    if (broken.some((each) => 'broken' in each)) this.#tryAgainLater(broken)
    else this.#failures = 0
  }

  #tryAgainLater(broken: readonly Built[]): void {
    if (this.#stopped) return
    const retryMs = Math.min(LOAD_RETRY_MIN_MS * 2 ** this.#failures++, LOAD_RETRY_MAX_MS)
    for (const each of broken) this.#report(each, retryMs)
    this.#retry?.cancel()
    this.#retry = this.#parts.clock.after(retryMs, this.#parts.onRetry)
  }

  #report(built: Built, retryMs: number | null = null): void {
    if ('spec' in built) return
    const message = 'wrong' in built ? built.wrong : built.broken
    this.#parts.events.emit('function-broken', { functionName: built.source.name, message, retryMs })
  }
}

function specsOf(built: readonly Built[]): FunctionSpec[] {
  return built.flatMap((each) => ('spec' in each ? each.spec : []))
}
