// What will happen, drawn before anything does: rounds, each of them one life of the runtime and how it is
// ended. They come in decks, so that the shares are exact however long the run is: one kill at each of the
// named points, ten at some time, of which four kill the host in mid-transaction and then the runtime.
import { CRASH_POINTS, type CrashPoint, isWaitPoint } from './failpoints.ts'
import type { Random } from './random.ts'

export type Kill =
  | { readonly type: 'point'; readonly point: CrashPoint; readonly nth: number }
  /** `aimedMs`: from then on so long after a transaction has begun to be written; undefined: at once. */
  | { readonly type: 'timed'; readonly afterMs: number; readonly aimedMs: number | undefined }

/**
 * `healed first`: the host is back before the runtime dies. `healed late`: the next runtime starts without
 * it.
 */
export type HostDeath = 'no' | 'healed first' | 'healed late'

export const NEMESES = ['stop', 'lock', 'rename', 'full disk'] as const
export type Nemesis = (typeof NEMESES)[number]

export interface Round {
  readonly n: number
  readonly kill: Kill
  readonly hostDies: HostDeath
  readonly nemesis: Nemesis | undefined
  /** How long the nemesis lasts. */
  readonly nemesisMs: number
  readonly messages: number
  readonly concurrency: number
  /** Seed of the messages. */
  readonly seed: number
}

const TIMED_KILLS = 10
const DECK_KILLS = CRASH_POINTS.length + TIMED_KILLS
const TIMED_MAX_MS = 60
/** A commit takes that long or so. */
const AIMED_MAX_MS = 3
const NEMESIS_SHARE = 0.25

/** Rounds that hold exactly `kills` kills. */
export function planRounds(kills: number, random: Random): Round[] {
  const rounds: Round[] = []
  let left = kills
  while (left > 0) {
    for (const { kill, hostDies } of random.shuffle(deck(random))) {
      if (left === 0) break
      const both = hostDies !== 'no' && left >= 2
      left -= both ? 2 : 1
      rounds.push({
        n: rounds.length + 1,
        kill,
        hostDies: both ? hostDies : 'no',
        nemesis: random.chance(NEMESIS_SHARE) ? random.pick(NEMESES) : undefined,
        nemesisMs: random.int(50, 200),
        messages: random.int(5, 50),
        concurrency: random.int(1, 2),
        seed: random.int(0, 2 ** 31),
      })
    }
  }
  return rounds
}

/** How often each point is in a plan at least, and so has to be hit. */
export function leastHits(kills: number): number {
  return Math.floor(kills / DECK_KILLS)
}

function deck(random: Random): Pick<Round, 'kill' | 'hostDies'>[] {
  const timed = (hostDies: HostDeath) => {
    const aimedMs = random.chance(0.5) ? random.next() * AIMED_MAX_MS : undefined
    return { kill: { type: 'timed', afterMs: random.next() * TIMED_MAX_MS, aimedMs }, hostDies } as const
  }
  return [
    ...CRASH_POINTS.map((point) => {
      const nth = random.int(1, nthMax(point))
      return { kill: { type: 'point', point, nth }, hostDies: 'no' } as const
    }),
    ...[timed('no'), timed('no')],
    ...[timed('healed first'), timed('healed first'), timed('healed late'), timed('healed late')],
  ]
}

/** A point comes by at least so often in a life. */
function nthMax(point: CrashPoint): number {
  if (point === 'in-recovery' || point === 'in-close') return 1
  if (point === 'in-shutdown') return 3
  return isWaitPoint(point) ? 4 : 6
}
