// What a supervisor decides, as pure functions: whether its instance is stale, and what follows when one has ended. The two
// rules of staleness are those of nanoclaw's own host; what is judged is always this instance, so signs that are older than
// its start say nothing.
import { backoffMs, jitterMs } from '../protocol/backoff.ts'

export interface Limits {
  /** Rule one: no heartbeat for this long. Long, because a runner may be idle; a declared operation may take longer. */
  readonly heartbeatMs: number
  /** Rule two: a claim of this age, and no heartbeat since it was made. */
  readonly claimMs: number
  /** Nothing to do, nothing written: it is stopped. Longer than people pause between two messages; a start costs half a second. */
  readonly idleMs: number
  /** Due messages left alone: no function takes them. Longer than any start of a runtime and its functions. */
  readonly leftAloneMs: number
  /** As idleMs, where another folder waits for the place. Long enough for the host to look at the last reply. */
  readonly spareMs: number
  /** Who ran this long has started well: what failed before is forgotten. */
  readonly steadyMs: number
  /** Wait after the first failure; each further one doubles it. A hiccup is over by then. */
  readonly pauseMinMs: number
  /** No wait is longer: when the cause is mended, the folder is served again within minutes. */
  readonly pauseMaxMs: number
  /** First wait while somebody else serves the folder: they have it for long. */
  readonly heldMinMs: number
  /** Time to end after SIGTERM: what container engines give. */
  readonly stopGraceMs: number
  /** The same for a stale one, which hardly listens. */
  readonly staleGraceMs: number
  /** Time for `prepare`: several answers of a slow service. */
  readonly prepareMs: number
  /** A supervisor that does not come to look for longer was suspended. More than a busy host keeps its event loop, less than any limit above. */
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
  /** Undefined: there is no heartbeat file. */
  readonly heartbeatAtMs: number | undefined
  readonly claims: readonly { readonly id: string; readonly atMs: number }[]
  /** Something is due that nobody has claimed. */
  readonly due: boolean
  /** What an operation that runs now may take, as the runner declared; 0: nothing declared. */
  readonly declaredMs: number
  /** Since when the supervisor itself has been there without a break: silence before that is not counted. */
  readonly presentSinceMs: number
}

/** Why this instance is stale, or undefined. */
export function decideStale(signs: LivenessSigns, limits: Limits): string | undefined {
  const { nowMs, spawnedAtMs, heartbeatAtMs, claims, due, declaredMs, presentSinceMs } = signs
  const beats = heartbeatAtMs !== undefined && heartbeatAtMs >= spawnedAtMs
  // Without any sign of its own an idle one may simply have had nothing to say; one with work that is due should have.
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
  /** null: a signal ended it, or it could not be started. */
  readonly code: number | null
  readonly signal: string | null
  /** The end of what it wrote to stderr, or why it could not be started. */
  readonly lastWords: string
  readonly ranMs: number
  /** Ends in a row before this one that were failures. */
  readonly failures: number
  /** Something is still due. */
  readonly workLeft: boolean
  /** 0 ≤ random < 1 */
  readonly random: number
}

export type AfterExit =
  | { readonly type: 'idle' }
  | { readonly type: 'pause'; readonly delayMs: number; readonly failures: number; readonly reason: string }
  | { readonly type: 'refused'; readonly reason: string }

/** The runtime's own numbers, those of sysexits.h. */
const HELD = 75
const CONFIGURATION = 78

/** What follows an end that nobody asked for. */
export function decideAfterExit(end: RuntimeExit, limits: Limits): AfterExit {
  const { code, workLeft, ranMs, failures } = end
  const reason = exitReason(end)
  if (code === CONFIGURATION) return { type: 'refused', reason }
  if (code === 0 && !workLeft) return { type: 'idle' }
  const before = ranMs >= limits.steadyMs ? 0 : failures
  // An orderly end after a long life: somebody stopped it, and there is work again.
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
