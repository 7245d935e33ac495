// The runtime's events as log lines, as JSON; pino enters the project here. Successful runs are not logged at
// `info`: a runtime that handles thousands of messages a second writes one line at its start and one at its
// stop. Text that functions print is a field, so it cannot look like a line of the runtime.
import { basename } from 'node:path'
import { type Logger, pino } from 'pino'
import type { EndedRun, Events } from '../protocol/events.ts'
import { type LogStream, Sink } from './sink.ts'

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** Never waited for: see sink.ts. */
  readonly to: LogStream
  /** The runtime serves more than one workspace: every line names its own. */
  readonly several?: boolean
}

/**
 * A kind without a function is logged as a warning once, and then at debug, so that its messages do not flood
 * the log.
 */
const KINDS_SAID_MAX = 1_000

export function createLog(events: Events, { level, to, several = false }: LogOptions): void {
  const sink = new Sink(to, (lines) =>
    log.warn({ lines }, 'log lines were dropped: the reader of stderr was too slow'),
  )
  const log: Logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  )
  const of = (workspace: string | undefined): Logger =>
    several && workspace !== undefined ? log.child({ workspace }) : log
  events.on('started', ({ quarantined, ...about }, workspace) => {
    of(workspace).info(about, 'started')
    for (const id of quarantined) of(workspace).error({ id, reason: 'crash_limit' }, 'failed')
  })
  events.on('stopping', (about, workspace) => of(workspace).info(about, 'stopping'))
  events.on('unwritten', (about, workspace) =>
    of(workspace).error(about, 'outbound.db took no writes; these messages run again at the next start'),
  )
  events.on('stopped', () => log.info('stopped'))
  events.on('waiting', ({ path, reason }, workspace) =>
    of(workspace).warn({ path, reason }, `waiting for ${basename(path)}`),
  )
  events.on('readable', ({ path }, workspace) =>
    of(workspace).info({ path }, `${basename(path)} is readable`),
  )
  events.on('inbound-wal', (about, workspace) =>
    of(workspace).warn(about, 'inbound.db is in WAL mode; its host should set journal_mode=delete'),
  )
  events.on('read-unstable', (about, workspace) =>
    of(workspace).warn(about, 'inbound.db is unreadable for moments; this mount may not support locks'),
  )
  events.on('rejected', (about, workspace) => of(workspace).warn(about, 'message failed without a run'))
  events.on('context', (about, workspace) =>
    of(workspace).debug(about, 'context (trigger 0): completed without a run'),
  )
  const kindsSaid = new Set<string>()
  events.on('unroutable', (about, workspace) => {
    of(workspace)[kindsSaid.has(about.kind) ? 'debug' : 'warn'](
      about,
      'no function takes this message; it is parked, like others of its kind',
    )
    if (kindsSaid.size < KINDS_SAID_MAX) kindsSaid.add(about.kind)
  })
  events.on('commit-failed', (about, workspace) =>
    of(workspace).error(about, 'outbound.db takes no writes; claims stop, results wait in memory'),
  )
  events.on('commit-recovered', (about, workspace) =>
    of(workspace).info(about, 'outbound.db takes writes again'),
  )
  events.on('function-broken', ({ stillServed, ...about }) =>
    log.error(
      about,
      `function cannot be used; ${stillServed ? 'its last good version stays in use' : 'its messages wait'}`,
    ),
  )
  events.on('function-capped', (about) =>
    log.warn(
      about,
      'function asks for more concurrency than the setting concurrency allows; the setting counts',
    ),
  )
  events.on('functions-changed', (about) => log.info(about, 'functions changed'))
  events.on('watch-degraded', (about, workspace) =>
    of(workspace).warn(about, 'no file events; the poll finds changes'),
  )
  events.on('worker-ended', ({ unexpected, ...about }) =>
    unexpected ? log.warn(about, 'worker ended unexpectedly') : log.debug(about, 'worker ended'),
  )
  events.on('worker-started', (about) => log.debug(about, 'worker started'))
  events.on('output', ({ functionName, messageId, stream, line }, workspace) =>
    of(workspace).info({ functionName, messageId, stream, line }, 'output'),
  )
  events.on('log', ({ functionName, messageId, level: at, text, fields }, workspace) =>
    of(workspace)[at]({ functionName, messageId, fields }, text),
  )
  events.on('workspace-failed', (about) =>
    log.error(about, 'workspace cannot be served; others are not affected'),
  )
  events.on('workspace-removed', (about) => log.info(about, 'workspace is not served any more'))
  events.on('fatal', ({ error, exitCode }) => log.fatal({ err: error, exitCode }, 'fatal error'))
  events.on('runs-ended', (all, workspace) => {
    // Builds no text for lines below the level: there may be tens of thousands a second.
    const wanted = log.isLevelEnabled('debug') ? all : all.filter(({ verdict }) => verdict !== 'done')
    if (wanted.length === 0) return
    const into = of(workspace)
    for (const each of wanted) logRunEnd(into, each)
  })
}

function logRunEnd(log: Logger, each: EndedRun): void {
  const { outcome, verdict, nextAtMs, ...about } = each
  if (verdict === 'done') return log.debug(about, 'completed')
  const detail = {
    ...about,
    outcome: outcome.type,
    ...('error' in outcome && { error: outcome.error }),
    ...(nextAtMs !== null && { nextAt: new Date(nextAtMs) }),
  }
  if (verdict === 'failed') return log.error(detail, 'failed')
  if (verdict === 'retry') return log.warn(detail, 'failed, will retry')
  log.info(detail, verdict)
}
