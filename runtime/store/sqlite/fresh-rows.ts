// Messages that a scan has read whole, so that a message which runs soon after need not be read twice. They
// count only while the file is in the state in which they were read: SQLite counts the commits of others.
import type { InboundRow, PendingMessage } from './message-rows.ts'

/** A longer message is read again when it runs: all that is kept is 20 MB at most. */
export const KEPT_CONTENT_MAX = 1024
/** As many as wait in the lanes of a session. */
const ROWS_MAX = 20_000

export class FreshRows {
  readonly #rows = new Map<string, InboundRow>()
  #version = -1

  /** `version`: of the file (pragma data_version), by the handle that has read the rows. */
  keep(rows: readonly PendingMessage[], version: number): void {
    if (version !== this.#version) this.clear()
    this.#version = version
    for (const row of rows) if (this.#rows.size < ROWS_MAX && isWhole(row)) this.#rows.set(row.id, row)
  }

  /** Moves those of these messages that are still as they were to `found`. @returns the ids of the others */
  take(ids: readonly string[], version: number, found: Map<string, InboundRow>): readonly string[] {
    if (version !== this.#version) this.clear()
    if (this.#rows.size === 0) return ids
    return ids.filter((id) => {
      const row = this.#rows.get(id)
      if (row) found.set(id, row)
      return !this.#rows.delete(id)
    })
  }

  /** Another handle counts anew. */
  clear(): void {
    this.#rows.clear()
    this.#version = -1
  }
}

/** A row with a value that did not fit is read from the file again when its message runs. */
function isWhole(row: PendingMessage): row is PendingMessage & InboundRow {
  return row.id !== null && row.seq !== null && row.content !== null && row.contentBytes <= KEPT_CONTENT_MAX
}
