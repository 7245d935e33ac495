// The runtime's events for programs, as `dev --json` prints them.
import { realClock } from '../protocol/clock.ts'
import { errorText } from '../protocol/errors.ts'
import type { Events, RuntimeEvents } from '../protocol/events.ts'
import type { ShowAction } from './deliver.ts'
import type { Print } from './print.ts'

/** Every event as one JSON line. */
export function printEvents(events: Events, print: Print): void {
  for (const event of Object.keys(EVENTS) as (keyof RuntimeEvents)[]) {
    events.on(event, (about: unknown) =>
      print.json({ event, at: new Date(realClock.now()).toISOString(), about: sayable(about) }),
    )
  }
}

/** Actions that the host of `dev` has executed for a function, and failed ones. */
export function actionPrinter(print: Print): ShowAction {
  return (about, action) =>
    print.json({ event: 'action', at: new Date(realClock.now()).toISOString(), about: { ...about, action } })
}

/** JSON.stringify drops the fields of an Error. */
function sayable(about: unknown): unknown {
  if (typeof about !== 'object' || about === null || !('error' in about)) return about
  return about.error instanceof Error ? { ...about, error: errorText(about.error) } : about
}

/** A record, so that a missing event is a type error. */
const EVENTS: Readonly<Record<keyof RuntimeEvents, true>> = {
  started: true,
  stopping: true,
  stopped: true,
  unwritten: true,
  waiting: true,
  readable: true,
  'inbound-wal': true,
  'read-unstable': true,
  claimed: true,
  'runs-ended': true,
  rejected: true,
  context: true,
  unroutable: true,
  'commit-failed': true,
  'commit-recovered': true,
  'worker-started': true,
  'worker-ended': true,
  'function-broken': true,
  'function-capped': true,
  'functions-changed': true,
  output: true,
  log: true,
  'watch-degraded': true,
  'workspace-failed': true,
  'workspace-removed': true,
  fatal: true,
}
