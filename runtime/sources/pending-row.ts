// A pending row of inbound.db, as far as it decides where its message belongs.
import type { Routable } from '../protocol/function.ts'

export interface PendingRow extends Routable {
  readonly id: string | null
  readonly rowid: number
  readonly seq: number | null
  readonly processAfter: string | null
  readonly onWake: boolean
  readonly contentBytes: number
}
