// The supervisor's decisions as pure functions: whether its instance is stale, and what follows its exit. The
// two rules of staleness are those of nanoclaw's own host. Signs of life older than the start of the instance
// are ignored.
import { backoffMs, jitterMs } from '../protocol/backoff.ts'

export interface Limits {
  /**
   * Rule one: no heartbeat for this long. Long, because a runner may be idle; a declared operation may take
   * longer.
   */
  readonly heartbeatMs: number
  /** Rule two: a claim of this age, and no heartbeat since it was made. */
  readonly claimMs: number
  /**
   * An instance without work or writes is stopped after this. Longer than the usual pause between two
   * messages of a conversation; a start costs half a second.
   */
  readonly idleMs: number
  /**
   * Due messages that stay unclaimed this long have no function. Longer than any start of a runtime and its
   * functions.
   */
  readonly leftAloneMs: number
  /** As idleMs, where another folder waits for the slot. Long enough for the host to read the last reply. */
  readonly spareMs: number
  /** After running this long, the count of failures starts again. */
  readonly steadyMs: number
  /** Delay after the first failure, doubled with each further one. Covers a short outage. */
  readonly pauseMinMs: number
  /** Longest delay: after a repair, the folder is served again within minutes. */
  readonly pauseMaxMs: number
  /** First delay while another runtime serves the folder, which usually lasts. */
  readonly heldMinMs: number
  /** Time between SIGTERM and SIGKILL: the default of container engines. */
  readonly stopGraceMs: number
  /** The same for a stale instance, which rarely reacts. */
  readonly staleGraceMs: number
  /** Time limit of `prepare`: several requests to a slow service. */
  readonly prepareMs: number
  /**
   * A longer gap between two visits means that the supervisor was suspended. More than a busy host blocks its
   * event loop, less than any limit above.
   */
  readonly awayMs: number
}

export const LIMITS: Limits = {
  heartbeatMs: 30 * 60_000,
  claimMs: 60_000,
  idleMs: 5 * 60_000,
  leftAloneMs: 5 * 60_000,
  spareMs: 2_000,
  steadyMs: 60_000,
  pauseMinMs: 1_000,
  pauseMaxMs: 5 * 60_000,
  heldMinMs: 15_000,
  stopGraceMs: 10_000,
  staleGraceMs: 1_000,
  prepareMs: 30_000,
  awayMs: 5_000,
}

export interface LivenessSigns {
  readonly nowMs: number
  readonly spawnedAtMs: number
  /** Undefined: the heartbeat file does not exist. */
  readonly heartbeatAtMs: number | undefined
  readonly claims: readonly { readonly id: string; readonly atMs: number }[]
  /** A due message is unclaimed. */
  readonly due: boolean
  /** The declared time limit of an operation that runs now; 0: none is declared. */
  readonly declaredMs: number
  /** Since when the supervisor has run without a suspension: silence before that is not counted. */
  readonly presentSinceMs: number
}

/** Why this instance is stale, or undefined. */
export function decideStale(signs: LivenessSigns, limits: Limits): string | undefined {
  const { nowMs, spawnedAtMs, heartbeatAtMs, claims, due, declaredMs, presentSinceMs } = signs
  const beats = heartbeatAtMs !== undefined && heartbeatAtMs >= spawnedAtMs
  // An idle instance needs no sign of life; one with due work does.
  const signAtMs = beats ? heartbeatAtMs : due ? spawnedAtMs : undefined
  const heartbeatMs = Math.max(limits.heartbeatMs, declaredMs)
  const silentMs = (sinceMs: number) => nowMs - Math.max(sinceMs, presentSinceMs)
  if (signAtMs !== undefined && silentMs(signAtMs) > heartbeatMs)
    return `no heartbeat for ${seconds(nowMs - signAtMs)} (limit ${seconds(heartbeatMs)})`

  const claimMs = Math.max(limits.claimMs, declaredMs)
  // Runners write the time of a claim in whole seconds.
  const since = Math.floor(spawnedAtMs / 1000) * 1000
  const silent = claims.find(
    ({ atMs }) =>
      atMs >= since && silentMs(atMs) > claimMs && !(heartbeatAtMs !== undefined && heartbeatAtMs > atMs),
  )
  if (silent)
    return `message ${JSON.stringify(silent.id)} was claimed ${seconds(nowMs - silent.atMs)} ago and no heartbeat followed (limit ${seconds(claimMs)})`
  return undefined
}

export interface RuntimeExit {
  /** null: a signal ended it, or it did not start. */
  readonly code: number | null
  readonly signal: string | null
  /** The tail of its stderr, or why it did not start. */
  readonly lastWords: string
  readonly ranMs: number
  /** Consecutive failures before this exit. */
  readonly failures: number
  /** A message is still due. */
  readonly workLeft: boolean
  /** 0 ≤ random < 1 */
  readonly random: number
}

export type AfterExit =
  | { readonly type: 'idle' }
  | { readonly type: 'pause'; readonly delayMs: number; readonly failures: number; readonly reason: string }
  | { readonly type: 'refused'; readonly reason: string }

/** The runtime's exit codes, as in sysexits.h. */
const HELD = 75
const CONFIGURATION = 78

/** What follows an exit that the supervisor did not request. */
export function decideAfterExit(end: RuntimeExit, limits: Limits): AfterExit {
  const { code, workLeft, ranMs, failures } = end
  const reason = exitReason(end)
  if (code === CONFIGURATION) return { type: 'refused', reason }
  if (code === 0 && !workLeft) return { type: 'idle' }
  const before = ranMs >= limits.steadyMs ? 0 : failures
  // An orderly exit after a long run: another party stopped it, and work is due again.
  if (code === 0 && ranMs >= limits.steadyMs) return { type: 'idle' }
  const minMs = code === HELD ? limits.heldMinMs : limits.pauseMinMs
  return {
    type: 'pause',
    delayMs: jitterMs(backoffMs({ minMs, maxMs: limits.pauseMaxMs }, before + 1), end.random),
    failures: before + 1,
    reason,
  }
}

export function exitReason({
  code,
  signal,
  lastWords,
}: Pick<RuntimeExit, 'code' | 'signal' | 'lastWords'>): string {
  const what =
    code === null
      ? signal === null
        ? 'it could not be started'
        : `it was ended by ${signal}`
      : code === HELD
        ? 'another runtime serves this folder (exit code 75)'
        : code === CONFIGURATION
          ? 'its configuration is wrong (exit code 78)'
          : `it ended with exit code ${code}`
  return lastWords === '' ? what : `${what}: ${lastWords}`
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`
}
