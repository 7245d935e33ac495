// Reports each fault of a function once, although sources are built again and again. A module that does not
// load may report another text each time (a process id, a time): the bundle identifies the fault.
import type { Events, RuntimeEvents } from '../protocol/events.ts'
import { ReportOnce } from '../protocol/report-once.ts'
import type { BuiltFunction } from './built-function.ts'

type Told = RuntimeEvents['function-broken'][0]

/** Replaces a name: the fault concerns all functions. */
const ALL = '*'

export class FaultReporter {
  readonly #events: Events
  /** By the name of the function. */
  readonly #told = new ReportOnce()

  constructor(events: Events) {
    this.#events = events
  }

  /** Whether one of these faults has not been reported. */
  any(built: readonly BuiltFunction[]): boolean {
    return built.some((each) => each.fault && !this.#told.has(markOf(each), each.source.name))
  }

  /** Sets the current faults. Returns the names of functions whose fault is over. */
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
