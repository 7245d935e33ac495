// The work of a session folder, as far as a supervisor needs it: cached, and read again only when the files
// may have changed or a due time has come.
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
  /** A message waits for a runtime: it is due, has trigger 1 and has not ended. */
  readonly due: boolean
  /** When the next message is due, if none is due now. */
  readonly nextDueMs: number
  readonly claims: readonly OpenClaim[]
  readonly declaredMs: number
}

const NOTHING: Work = { due: false, nextDueMs: Number.POSITIVE_INFINITY, claims: [], declaredMs: 0 }

/** Reason of a file whose journal only the next runtime can roll back. */
const UNCLAIMED: OpenClaims = { claims: [], declaredMs: 0 }

const PAGE_ROWS = 500
/**
 * After this many polls in a row outbound.db counts as left by a runtime that died in mid-commit: only the
 * next one can roll it back, so pending messages count as not ended. Before that, another process may simply
 * hold the lock for a moment.
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
  /** The files at the newest poll. */
  #text = ''
  #inbound = ''

  constructor(folder: string, clock: Clock) {
    this.#folder = folder
    this.#clock = clock
    this.#glance = new ChangeProbe(folder)
    this.#outbox = new HostOutbox(filesIn(folder).outbound)
  }

  /** Counts the changes of the files that polls have found. */
  get changes(): number {
    return this.#changes
  }

  /** The host's file, as far as the file system tells it from what it was. */
  get inbound(): string {
    return this.#inbound
  }

  /**
   * When the next scheduled message or retry is due. Reads all pending messages. While outbound.db cannot be
   * read a retry may be due at any moment: now.
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

/** A message with an invalid time is due: the runtime rejects it with a reason. */
function dueMs({ processAfter }: WakingRow): number {
  return parseTime(processAfter ?? '') ?? 0
}
