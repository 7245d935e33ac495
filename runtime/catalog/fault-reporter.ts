// What is wrong with functions, told once for each fault: sources are built again and again, and nobody wants to read the same
// each time. A module that does not load may say something else with each try (a process id, a time): what tells one fault
// from another is the bundle.
import type { Events, RuntimeEvents } from '../protocol/events.ts'
import { ReportOnce } from '../protocol/report-once.ts'
import type { BuiltFunction } from './built-function.ts'

type Told = RuntimeEvents['function-broken'][0]

/** In the place of a name: what is wrong concerns all functions. */
const ALL = '*'

export class FaultReporter {
  readonly #events: Events
  /** By the name of the function. */
  readonly #told = new ReportOnce()

  constructor(events: Events) {
    this.#events = events
  }

  /** Whether there is a fault among these that has not been told. */
  any(built: readonly BuiltFunction[]): boolean {
    return built.some((each) => each.fault && !this.#told.has(markOf(each), each.source.name))
  }

  /** These are all that there are now. Returns the names of functions that had a fault, and have none any more. */
  tell(built: readonly BuiltFunction[], retryMs: number | null): readonly string[] {
    const faulty = new Set<string>()
    for (const each of built) {
      if (!each.fault) continue
      const { name: functionName } = each.source
      const about = { functionName, message: each.fault.text, stillServed: each.spec !== undefined }
      faulty.add(functionName)
      this.#tell({ ...about, retryMs: each.fault.passes ? retryMs : null }, markOf(each))
    }
    return this.#told.keepOnly(faulty).filter((name) => name !== ALL)
  }

  /** Nothing could be built; all stays as it was. */
  tellAll(message: string): void {
    this.#tell({ functionName: ALL, message, retryMs: null, stillServed: true }, message)
  }

  #tell(fault: Told, mark: string): void {
    if (this.#told.isNews(mark, fault.functionName)) this.#events.emit('function-broken', fault)
  }
}

function markOf({ bundle, spec, fault }: BuiltFunction): string {
  return `${spec ? 'kept' : 'none'} ${fault?.passes ? bundle?.hash : fault?.text}`
}
