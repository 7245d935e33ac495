// The port for failpoints: named places at which a caller of createRuntime may end the process, between two
// steps that a timed kill rarely hits. Types only: without failpoints a runtime has no hook, and no code in
// runtime/ implements this port.
import type { Workers } from './queue/workers.ts'
import type { InboundFile } from './sources/inbound.ts'
import type { Store } from './store/store.ts'

/** Places inside of an open transaction or of a stop. All others lie between the ports of the dispatcher. */
export type Failpoint =
  | 'in-step'
  | 'in-suspend'
  | 'in-close'
  | 'in-answer'
  | 'in-wake'
  | 'in-claim'
  | 'in-finish-after-reply'
  | 'in-finish-before-commit'
  | 'in-recovery'
  | 'in-shutdown'

export interface DispatcherPorts {
  readonly inbound: InboundFile
  readonly store: Pick<Store, 'commit'>
  readonly workers: Workers
}

export interface Failpoints {
  /** Called when the runtime reaches this place. */
  readonly reach: (point: Failpoint) => void
  /** The same ports, with the places before and after their calls. */
  readonly around: (ports: DispatcherPorts) => DispatcherPorts
}
