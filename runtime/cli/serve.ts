// A runtime as a process: from start to a drained stop. The first signal starts a graceful stop, a second one
// ends the process at once. SIGHUP never counts as the second one: for one closed terminal both the kernel
// and the shell send it.
import { errorText } from '../protocol/errors.ts'
import type { Events } from '../protocol/events.ts'
import type { Runtime } from '../runtime.ts'
import { CommandFailed, EXIT } from './exit.ts'

/** SIGHUP: the terminal was closed. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const

/**
 * All required work is complete before this timer; a handle that is still open then is a leak, and does not
 * keep the process.
 */
const LINGER_MS = 1_000

export interface Served {
  readonly runtime: Runtime
  readonly events: Events
  /** Called once the runtime has started, unless it was stopped meanwhile. */
  readonly started?: () => void
}

/**
 * Resolves when the runtime has stopped after a signal.
 * @throws the errors of start(); CommandFailed with the exit code of a fatal error or of an incomplete stop
 */
export async function serveUntilStopped({ runtime, events, started }: Served): Promise<void> {
  let stop: (() => void) | undefined
  let stopping = false
  let lost: CommandFailed | undefined
  const stopped = new Promise<void>((resolve, reject) => {
    stop = () => {
      stopping = true
      runtime.stop().then(() => (lost ? reject(lost) : resolve()), reject)
    }
    events.once('unwritten', ({ claims, results }) => {
      lost = new CommandFailed(
        `outbound.db took no writes until the time of the stop was up: ${results} results are not written, and ${claims} messages run again at the next start.`,
        EXIT.unwritten,
      )
    })
    events.once('fatal', ({ error, exitCode }) => reject(new CommandFailed(errorText(error), exitCode)))
  })
  process.on('uncaughtException', ignoreDeadHelper)
  const releaseSignals = onSignals({
    first: () => stop?.(),
    second: (signal) => {
      runtime.kill()
      process.exit(128 + SIGNALS[signal])
    },
  })
  try {
    // A signal during the start ends it early; resources opened by `started` would then never be closed.
    await Promise.all([runtime.start().then(() => (stopping ? undefined : started?.())), stopped])
  } finally {
    releaseSignals()
    process.off('uncaughtException', ignoreDeadHelper)
  }
}

/** Ends the process within a second, whatever handles are open. */
export function endSoon(): void {
  setTimeout(() => process.exit(), LINGER_MS).unref()
}

type Signal = keyof typeof SIGNALS

function onSignals(does: Readonly<Record<'first' | 'second', (signal: Signal) => void>>): () => void {
  let seen = false
  const listener = (signal: NodeJS.Signals) => {
    if (!seen) does.first(signal as Signal)
    else if (signal !== 'SIGHUP') does.second(signal as Signal)
    seen = true
  }
  const names = Object.keys(SIGNALS) as Signal[]
  for (const name of names) process.on(name, listener)
  return () => {
    for (const name of names) process.off(name, listener)
  }
}

/**
 * Ctrl-C reaches esbuild's helper process, too. When a write detects its end first, esbuild drops its pending
 * callbacks and then throws for a response that arrives late, in an event of its own. Its builds have failed
 * by then, so nothing is lost. Every other error ends the process as it would without this listener.
 */
function ignoreDeadHelper(error: Error): void {
  const isHelpers =
    error.message === 'callback is not a function' && /esbuild.lib.main\.js/.test(error.stack ?? '')
  if (isHelpers) return
  process.off('uncaughtException', ignoreDeadHelper)
  setImmediate(() => {
    throw error
  })
}
