// From source files to a catalog: discover, bundle, start a child that reports what the function is, check
// it, route by it. User code never runs in this process. A reload builds the next catalog beside the one in
// use; a function that breaks (it does not build, or its definition is illegal) keeps its last good version
// until its source is fixed. A start reuses unchanged builds and definitions of the last one, and verifies
// them afterwards.
import { existsSync } from 'node:fs'
import type { Config } from '../config/options.ts'
import { type Backoff, backoffMs } from '../protocol/backoff.ts'
import type { Clock, Timer } from '../protocol/clock.ts'
import { errorText, NanoclawError } from '../protocol/errors.ts'
import type { Events } from '../protocol/events.ts'
import type { FunctionSpec } from '../protocol/function.ts'
import type { RuntimeStatus } from '../protocol/status-file.ts'
import { BuildFault } from './build-errors.ts'
import { type BuiltFunction, orBefore, specsOf } from './built-function.ts'
import type { Bundle, Bundler } from './bundle.ts'
import { Catalog } from './catalog.ts'
import { withoutClashes } from './clashes.ts'
import { parseDefinition } from './definition.ts'
import { Definitions, LoadError, type Loader } from './definitions.ts'
import { discover, type FunctionSource } from './discover.ts'
import { FaultReporter } from './fault-reporter.ts'

export interface FunctionsParts {
  readonly config: Config
  readonly clock: Clock
  readonly events: Events
  readonly bundler: Bundler
  readonly loader: Loader & { keepOnly(bundles: ReadonlySet<string>): void }
  /** The environment of a child: its definition may depend on it. */
  readonly env: Readonly<Record<string, string>>
  /** Functions whose module did not load are due for another attempt. */
  readonly onRetry: () => void
}

/** Delays before a module that did not load is tried again. */
const LOAD_RETRY: Backoff = { minMs: 500, maxMs: 30_000 }
/**
 * Ctrl-C ends the bundler's helper, too, and a stop ends loading processes: a failure then is not the
 * function's fault. The end of the helper may be detected before the signal, so a fault is evaluated only
 * after this delay.
 */
const STOP_NOTICED_MS = 20

export class Functions {
  readonly #parts: FunctionsParts
  readonly #definitions: Definitions
  readonly #news: FaultReporter
  #catalog = new Catalog([])
  #built: readonly BuiltFunction[] = []
  #list: RuntimeStatus['functions'] = []
  #retry: Timer | undefined
  #failures = 0
  #stopped = false

  constructor(parts: FunctionsParts) {
    this.#parts = parts
    this.#definitions = new Definitions({ ...parts.config, ...parts })
    this.#news = new FaultReporter(parts.events)
  }

  get catalog(): Catalog {
    return this.#catalog
  }

  /** Functions in use, by name. */
  get specs(): readonly FunctionSpec[] {
    return this.#catalog.names.flatMap((name) => this.#catalog.get(name) ?? [])
  }

  /**
   * Every function with its fault, if any; another array after each change. `stillServed`: its last good
   * version stays in use.
   */
  get list(): RuntimeStatus['functions'] {
    return this.#list
  }

  /** Upper bound of a run of this function, from its claim until its process is killed. */
  limitMsOf(name: string): number {
    const { abortGraceMs, killGraceMs } = this.#parts.config
    return (this.#catalog.get(name)?.timeoutMs ?? 0) + abortGraceMs + killGraceMs
  }

  /** Source files to watch, also of functions that did not build. */
  get inputs(): readonly string[] {
    return this.#built.flatMap(({ bundle, fault }) => [
      ...(bundle?.inputs ?? []),
      ...(fault?.causes?.inputs ?? []),
    ])
  }

  /** Folders to watch without their subfolders: a missing import of a failed build would appear there. */
  get awaited(): readonly string[] {
    return [...new Set(this.#built.flatMap(({ fault }) => fault?.causes?.awaited ?? []))]
  }

  /**
   * Builds all functions. One that does not load is left out and tried again in the background; `tolerant`:
   * so is one with a fault, until its source is fixed.
   * @throws NanoclawError `bad_function` naming every function that does not build, is not legal, or clashes
   *   with another
   */
  async start(tolerant = false): Promise<void> {
    const built = withoutClashes(await this.#build(), new Map())
    if (this.#stopped) return
    const wrong = built.flatMap(({ fault }) => (fault && !fault.passes ? fault.text.split('\n') : []))
    if (wrong.length > 0 && !tolerant) throw new NanoclawError('bad_function', [...new Set(wrong)].join('\n'))
    this.#use(built)
  }

  /** Verifies each function whose cached definition was used, then ends the bundler's helper. */
  async confirm(): Promise<void> {
    const right = await this.#definitions.confirm(specsOf(this.#built))
    if (right) await this.#parts.bundler.release()
    else if (!this.#stopped) this.#parts.onRetry()
  }

  /**
   * Rebuilds changed functions; returns the names of functions that are different now, or usable again. Never
   * rejects.
   */
  async reload(): Promise<readonly string[]> {
    const before = new Map(this.#built.map((each) => [each.source.name, each]))
    try {
      const built = await this.#build()
      if (this.#stopped) return []
      const kept = built.map((each) => orBefore(each, before.get(each.source.name)))
      const mended = this.#use(withoutClashes(kept, before))
      const after = new Map(this.#built.map((each) => [each.source.name, each]))
      const names = [...new Set([...before.keys(), ...after.keys()])]
      const changed = names.filter((name) => before.get(name)?.spec !== after.get(name)?.spec)
      return [...new Set([...changed, ...mended])]
    } catch (error) {
      if (this.#stopped) return []
      // The functions folder cannot be read.
      this.#news.tellAll(errorText(error))
      this.#tryAgainLater()
      return []
    }
  }

  /**
   * No process of this bundle has started: another runtime that shares the cache may have removed its files.
   */
  startFailed(bundle: string): void {
    if (!this.#stopped && !existsSync(bundle)) this.#parts.onRetry()
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
  }

  async #build(): Promise<readonly BuiltFunction[]> {
    const noticed = () => new Promise<void>((resolve) => this.#parts.clock.after(STOP_NOTICED_MS, resolve))
    try {
      const built = await this.#buildAll()
      if (built.some(({ fault }) => fault)) await noticed()
      return built
    } catch (error) {
      await noticed()
      throw error
    }
  }

  async #buildAll(): Promise<readonly BuiltFunction[]> {
    const { functions, root } = this.#parts.config
    const { sources, refusals } = await discover(functions, root)
    const refused = refusals.map(({ source, text }) => ({ source, fault: { text, passes: false } }))
    return [...(await Promise.all(sources.map((source) => this.#buildOne(source)))), ...refused]
  }

  async #buildOne(source: FunctionSource): Promise<BuiltFunction> {
    const { config } = this.#parts
    const { cache, root, external } = config
    let bundle: Bundle | undefined
    try {
      // No further settings: a bundle is rebuilt when any value given here differs.
      bundle = await this.#parts.bundler.function(source, { cache, root, external })
      const { path } = bundle
      const known = specsOf(this.#built).find((spec) => spec.bundle === path)
      if (known && !this.#definitions.doubts(path)) return { source, bundle, spec: known }
      const definition = await this.#definitions.of(source, bundle)
      return { source, bundle, spec: parseDefinition(definition, source, path, config) }
    } catch (error) {
      if (error instanceof LoadError && bundle)
        return {
          source,
          bundle,
          fault: { text: `${source.file} does not load: ${error.message}`, passes: true },
        }
      if (error instanceof BuildFault)
        return { source, fault: { text: error.message, passes: false, causes: error.causes } }
      if (error instanceof NanoclawError && error.code === 'bad_function')
        return { source, fault: { text: error.message, passes: false }, ...(bundle && { bundle }) }
      throw error
    }
  }

  /** Returns the names of functions whose fault is over. */
  #use(built: readonly BuiltFunction[]): readonly string[] {
    const specs = specsOf(built)
    const broken = built.flatMap(({ spec, source }) => (spec ? [] : source.name))
    this.#tellCapped(specs.filter((spec) => this.#catalog.get(spec.name) !== spec))
    this.#catalog = new Catalog(specs, broken)
    this.#built = built
    this.#list = built.map(shown)
    this.#parts.loader.keepOnly(new Set(specs.map(({ bundle }) => bundle)))
    if (this.#news.any(built)) this.#failures = 0
    return this.#news.tell(built, this.#tryAgainLater())
  }

  #tellCapped(specs: readonly FunctionSpec[]): void {
    const { config, events } = this.#parts
    for (const { name, concurrency } of specs)
      if (concurrency > config.concurrency)
        events.emit('function-capped', { functionName: name, concurrency, setting: config.concurrency })
  }

  /** Returns the delay until modules that did not load are tried again; null: all have loaded. */
  #tryAgainLater(): number | null {
    this.#retry?.cancel()
    if (this.#stopped || !this.#built.some(({ fault }) => fault?.passes)) return null
    const retryMs = backoffMs(LOAD_RETRY, ++this.#failures)
    this.#retry = this.#parts.clock.after(retryMs, this.#parts.onRetry)
    return retryMs
  }
}

function shown({ source: { name, file }, spec, fault }: BuiltFunction): RuntimeStatus['functions'][number] {
  const rule = spec && { rule: spec.rule }
  if (!fault) return { name, file, ...rule }
  return { name, file, broken: fault.text, ...rule, ...(spec && { stillServed: true }) }
}
