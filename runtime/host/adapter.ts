// What a host gives to deliver(): the adapter for the platforms, and the retry settings. One attempt is one
// call with a time limit; a result that arrives later is ignored.
import { basename } from 'node:path'
import type { Clock } from '../protocol/clock.ts'
import { DURATION_FORMS, type Duration, parseDuration } from '../protocol/duration.ts'
import { NanoclawError } from '../protocol/errors.ts'
import type { RetryPolicy } from '../protocol/function.ts'
import type { Retry } from '../protocol/handler.ts'
import { type Action, actionOf, TASK_ACTIONS, type TaskHost } from './actions.ts'
import type { DeliveryEvent } from './delivery-attempt.ts'
import { handOver, type Outgoing } from './outgoing.ts'
import type { RelayParts } from './relay.ts'
import type { HostFile } from './sqlite/file.ts'
import type { HostOutbox, ReplyRow } from './sqlite/outbox.ts'

export interface SendContext {
  /**
   * Idempotency key: the same for each attempt of one reply, unique among replies. Pass it to the platform so
   * that no reply is sent twice.
   */
  readonly idempotencyKey: string
  /** From 1. */
  readonly attempt: number
  /** Aborts when the time limit of this attempt has passed. */
  readonly signal: AbortSignal
}

/**
 * Sends a reply to its platform and returns the platform's id of it, or nothing. Throws when the reply was
 * not sent.
 */
export type Adapter = (reply: Outgoing, context: SendContext) => unknown

export interface DeliverOptions {
  /** Carries out replies of kind `system`, by `content.action`, beside the five for tasks. */
  readonly actions?: Readonly<Record<string, Action>>
  /** Attempts of one reply. Default: 8 attempts, first delay 1s, doubled each time, at most 5m. */
  readonly retry?: Retry
  /** Time limit of one attempt. Default 30s. */
  readonly timeout?: Duration
  /** Destinations served at the same time. Default 64. */
  readonly concurrency?: number
  /** Poll interval in milliseconds. Default 50. */
  readonly pollMs?: number
  readonly onEvent?: (event: DeliveryEvent) => void
}

/** The parts of a delivery. */
export interface Post {
  readonly dir: string
  readonly host: TaskHost
  readonly file: HostFile
  readonly outbox: HostOutbox
  readonly clock: Clock
}

/** @throws NanoclawError `bad_usage`, naming the option */
export function relayParts({ host, ...post }: Post, adapter: Adapter, options: DeliverOptions): RelayParts {
  const { timeoutMs, ...settings } = deliverSettings(options)
  const actions = { ...TASK_ACTIONS, ...options.actions }
  const send = async (row: ReplyRow, attempt: number) => {
    const { reply, close } = handOver(post.dir, row)
    const idempotencyKey = `${basename(post.dir)}/${row.id}`
    const answer = await inTime(post.clock, timeoutMs, (signal) =>
      row.kind === 'system'
        ? actionOf(reply, actions)(reply.content, { idempotencyKey, attempt, signal, host, reply })
        : adapter(reply, { idempotencyKey, attempt, signal }),
    ).finally(close)
    const named = typeof answer === 'string' || typeof answer === 'number'
    return row.kind !== 'system' && named ? String(answer) : null
  }
  return { ...post, ...settings, send, onEvent: options.onEvent ?? (() => {}) }
}

interface DeliverSettings {
  readonly timeoutMs: number
  readonly policy: RetryPolicy
  readonly concurrency: number
  readonly pollMs: number
}

function deliverSettings({ retry = {}, timeout, concurrency, pollMs }: DeliverOptions): DeliverSettings {
  return {
    timeoutMs: length('timeout', timeout, 30_000),
    policy: {
      attempts: atLeastOne('retry.attempts', retry.attempts, 8),
      minDelayMs: length('retry.minDelay', retry.minDelay, 1_000),
      maxDelayMs: length('retry.maxDelay', retry.maxDelay, 300_000),
      factor: atLeastOne('retry.factor', retry.factor, 2),
    },
    concurrency: atLeastOne('concurrency', concurrency, 64),
    pollMs: atLeastOne('pollMs', pollMs, 50),
  }
}

async function inTime(
  clock: Clock,
  limitMs: number,
  call: (signal: AbortSignal) => unknown,
): Promise<unknown> {
  const late = new AbortController()
  const endMs = clock.monotonic() + limitMs
  let timer = { cancel: () => {} }
  const limit = new Promise<never>((_, reject) => {
    const check = () => {
      const leftMs = endMs - clock.monotonic()
      if (leftMs > 0) {
        timer = clock.after(leftMs, check)
        return
      }
      const error = new Error(`no answer within ${limitMs} ms`)
      late.abort(error)
      reject(error)
    }
    check()
  })
  try {
    return await Promise.race([(async () => call(late.signal))(), limit])
  } finally {
    timer.cancel()
  }
}

function length(option: string, value: unknown, byDefault: number): number {
  const ms = value === undefined ? byDefault : parseDuration(value)
  if (ms === undefined) throw badOption(option, value, DURATION_FORMS)
  return ms
}

function atLeastOne(option: string, value: unknown, byDefault: number): number {
  if (value === undefined) return byDefault
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 1)
    throw badOption(option, value, 'a number, 1 or more')
  return value
}

function badOption(option: string, value: unknown, legal: string): NanoclawError {
  return new NanoclawError('bad_usage', `deliver: ${option} is ${String(value)}; expected ${legal}`)
}
