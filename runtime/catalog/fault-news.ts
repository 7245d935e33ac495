// What is wrong with functions, told once for each fault: sources are built again and again, and nobody wants to read the same
// each time.
import type { Events, RuntimeEvents } from '../protocol/events.ts'

export type Fault = RuntimeEvents['function-broken'][0]

export class FaultNews {
  readonly #events: Events
  /** By the name of the function. */
  #told = new Map<string, Fault>()

  constructor(events: Events) {
    this.#events = events
  }

  isNew({ functionName, message, stillServed }: Fault): boolean {
    const told = this.#told.get(functionName)
    return told?.message !== message || told.stillServed !== stillServed
  }

  /** These are all that there are now. Returns the names of functions that had one, and have none any more. */
  tell(faults: readonly Fault[]): readonly string[] {
    for (const fault of faults) this.also(fault)
    const before = [...this.#told.keys()]
    this.#told = new Map(faults.map((fault) => [fault.functionName, fault]))
    return before.filter((name) => !this.#told.has(name))
  }

  /** One more. */
  also(fault: Fault): void {
    if (this.isNew(fault)) this.#events.emit('function-broken', fault)
    this.#told.set(fault.functionName, fault)
  }
}
