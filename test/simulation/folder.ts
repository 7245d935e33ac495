// A session folder in the simulation: its files and its host, what goes wrong with them, and the books that
// are kept of it. It outlives every runtime that serves it.
import type { Clock } from '../../runtime/protocol/clock.ts'
import { Books } from './books.ts'
import type { StoreKind } from './choices.ts'
import { type Disk, MemoryDisk, SqliteDisk } from './disk.ts'
import { Faults } from './faults.ts'
import type { FolderFiles } from './files.ts'
import type { Findings } from './findings.ts'
import { Host } from './host.ts'
import type { Life } from './life.ts'

export interface FolderParts {
  readonly name: string
  readonly world: number
  readonly files: FolderFiles
  readonly store: StoreKind
  readonly clock: Clock
  readonly findings: Findings
  readonly crashLimit: number
}

export class Folder {
  readonly name: string
  readonly files: FolderFiles
  readonly store: StoreKind
  readonly faults: Faults
  readonly host: Host
  readonly books: Books
  /** What stands in the file of the lock. */
  readonly lock = { stoppedEpoch: 0 }
  /** Serves it now. */
  life: Life | undefined
  /** How long it stays alone when that ends. */
  downMs = 0
  isStarting = false

  constructor({ name, world, files, store, clock, findings, crashLimit }: FolderParts) {
    this.name = name
    this.files = files
    this.store = store
    this.faults = new Faults(clock)
    files.empty(world, this.faults)
    const disk: Disk = store === 'memory' ? new MemoryDisk(files.memory) : new SqliteDisk(files.outbound)
    this.host = new Host(files, disk, () => clock.now())
    const isLate = store !== 'sqlite'
    this.books = new Books(this.host.messages, { name, disk, clock, findings, crashLimit, isLate })
  }
}
