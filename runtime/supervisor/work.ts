// What a session folder holds for a runtime, as far as a supervisor must know: remembered, and read again only when the files
// may have changed or a time has come.
import { existsSync } from 'node:fs'
import { ChangeProbe } from '../host/change-probe.ts'
import { HostFile } from '../host/sqlite/file.ts'
import { HostOutbox } from '../host/sqlite/outbox.ts'
import {
  claimsNow,
  nextAttemptMs,
  type OpenClaim,
  type OpenClaims,
  unended,
  type WakingRow,
  wakingAfter,
} from '../host/sqlite/work.ts'
import type { Clock } from '../protocol/clock.ts'
import { filesIn } from '../protocol/files.ts'
import { parseTime } from '../protocol/time.ts'

export interface Work {
  /** A message waits for a runtime: its time has come, it wakes one, and nothing has ended it. */
  readonly due: boolean
  /** When the next one is due, if none is now. */
  readonly nextDueMs: number
  readonly claims: readonly OpenClaim[]
  readonly declaredMs: number
}

const NOTHING: Work = { due: false, nextDueMs: Number.POSITIVE_INFINITY, claims: [], declaredMs: 0 }

/** Of a file that only the next runtime can heal. */
const UNCLAIMED: OpenClaims = { claims: [], declaredMs: 0 }

const PAGE_ROWS = 500
/**
 * After so many looks in a row outbound.db counts as left behind by a runtime that died in mid-commit: only the next one can
 * heal it, so what is pending counts as not ended. Before, somebody may simply hold its lock for a moment.
 */
const UNREADABLE_LOOKS = 3

export class WorkProbe {
  readonly #folder: string
  readonly #clock: Clock
  readonly #glance: ChangeProbe
  readonly #outbox: HostOutbox
  #file: HostFile | undefined
  #work = NOTHING
  #unreadable = 0
  #changes = 0
  /** The files as they were when the newest look was taken. */
  #text = ''
  #inbound = ''

  constructor(folder: string, clock: Clock) {
    this.#folder = folder
    this.#clock = clock
    this.#glance = new ChangeProbe(folder)
    this.#outbox = new HostOutbox(filesIn(folder).outbound)
  }

  /** Rises with every change of the files that a look has met. */
  get changes(): number {
    return this.#changes
  }

  /** The host's file, as far as the file system tells it from what it was. */
  get inbound(): string {
    return this.#inbound
  }

  /**
   * When the next message or attempt is due that is not yet, whatever is due now. Reads all that is pending. While outbound.db
   * cannot be read an attempt may be due at any moment: now.
   */
  nextDueMs(): number {
    const nowMs = this.#clock.now()
    const retryMs = this.#outbox
      .patiently(() => nextAttemptMs(this.#outbox, nowMs))
      .either(
        (atMs) => atMs ?? Number.POSITIVE_INFINITY,
        () => nowMs,
      )
    let nextMs = retryMs
    for (let cursor = 0; this.#file; ) {
      const page = wakingAfter(this.#file, cursor, PAGE_ROWS)
      if (page.length === 0) break
      cursor = page.at(-1)!.cursor
      nextMs = Math.min(nextMs, ...page.map(dueMs).filter((atMs) => atMs > nowMs))
    }
    return nextMs
  }

  /** @throws NanoclawError when a file is damaged or cannot be used */
  read(): Work {
    const nowMs = this.#clock.now()
    const look = this.#glance.look(nowMs)
    if (look.text !== this.#text) this.#changes++
    this.#text = look.text
    this.#inbound = look.inbound
    if (!this.#glance.isNews(look) && nowMs < this.#work.nextDueMs) return this.#work
    const work = this.#readFiles(nowMs)
    if (work) {
      this.#work = work
      this.#unreadable = 0
      this.#glance.read(look)
    }
    return this.#work
  }

  #readFiles(nowMs: number): Work | undefined {
    const path = filesIn(this.#folder).inbound
    if (!existsSync(path)) return NOTHING
    const file = (this.#file ??= new HostFile(path, false))
    return file.during(() => this.#outbox.during(() => this.#readWith(file, nowMs)))
  }

  #readWith(file: HostFile, nowMs: number): Work | undefined {
    const blind = !existsSync(this.#outbox.path) || ++this.#unreadable >= UNREADABLE_LOOKS
    const retryMs = nextAttemptMs(this.#outbox, nowMs).either(
      (atMs) => atMs ?? Number.POSITIVE_INFINITY,
      () => (blind ? Number.POSITIVE_INFINITY : undefined),
    )
    const claims = claimsNow(this.#outbox).either(
      (found) => found,
      () => (blind ? UNCLAIMED : undefined),
    )
    if (retryMs === undefined || !claims) return undefined
    const waking = this.#waking(file, nowMs, blind)
    if (!waking) return undefined
    return {
      due: waking.due,
      nextDueMs: Math.min(waking.nextDueMs, retryMs),
      ...claims,
    }
  }

  #waking(
    file: HostFile,
    nowMs: number,
    blind: boolean,
  ): { readonly due: boolean; readonly nextDueMs: number } | undefined {
    let nextDueMs = Number.POSITIVE_INFINITY
    for (let cursor = 0; ; ) {
      const page = wakingAfter(file, cursor, PAGE_ROWS)
      if (page.length === 0) return { due: false, nextDueMs }
      cursor = page.at(-1)!.cursor
      const due: string[] = []
      for (const row of page) {
        const atMs = dueMs(row)
        if (atMs <= nowMs) due.push(row.id)
        else nextDueMs = Math.min(nextDueMs, atMs)
      }
      if (due.length === 0) continue
      const open = unended(this.#outbox, due, nowMs).either(
        (ids) => ids.length > 0,
        () => (blind ? true : undefined),
      )
      if (open === undefined) return undefined
      if (open) return { due: true, nextDueMs }
    }
  }
}

/** A time that cannot be read is due: the runtime ends that message with a reason. */
function dueMs({ processAfter }: WakingRow): number {
  return parseTime(processAfter ?? '') ?? 0
}
