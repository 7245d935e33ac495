// What one run of the benchmarks shares: how big everything is, and workspaces with a long history, which are
// made once.
import { spawnSync } from 'node:child_process'
import { makeHistory } from './history.ts'
import type { Lab } from './lab.ts'
import type { Row } from './table.ts'

/** One benchmark: a file in rows/. Its name is what `--only` takes. */
export interface Benchmark {
  readonly name: string
  run(world: World): Promise<readonly Row[]>
}

export type Ids = 'time-ordered' | 'uuid'

export class World {
  readonly rounds: number
  readonly #scale: number
  readonly #histories = new Map<string, Lab>()

  /** `scale`: 1 for figures that are kept; less while a benchmark is being developed. */
  constructor(scale: number, rounds: number) {
    this.#scale = scale
    this.rounds = rounds
    // Certificates of its own are this machine's business: to read them costs each start of Node, an empty
    // one too, half as much again.
    delete process.env.NODE_EXTRA_CA_CERTS
  }

  /** So many at full scale. */
  count(full: number): number {
    return Math.max(10, Math.round(full * this.#scale))
  }

  /**
   * A workspace in which so many messages have been answered long ago. Its users must not close it.
   */
  async history(rows: number, ids: Ids): Promise<Lab> {
    const key = `${rows} ${ids}`
    const known = this.#histories.get(key)
    if (known) return known
    const made = await makeHistory(rows, ids)
    this.#histories.set(key, made)
    // What follows is measured on a disk that has nothing else to write.
    spawnSync('sync')
    return made
  }

  close(): void {
    for (const lab of this.#histories.values()) lab.close()
  }
}
