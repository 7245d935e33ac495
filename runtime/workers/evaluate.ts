// Runs a bundle once in a process of its own and returns the value that it reports: evaluates
// nanoclaw.config.ts without running its code in this process.
import type { Clock } from '../protocol/clock.ts'
import { formatDuration } from '../protocol/duration.ts'
import { type ErrorInfo, errorText } from '../protocol/errors.ts'
import { nodeSpawner } from './process.ts'
import { Tail } from './process-group.ts'

/** Enough for imports on a cold disk; longer means that the code hangs. */
const EVALUATE_MS = 30_000
const TAIL_CHARS = 2_000
const LAST_WORDS_MS = 100

/** @throws Error that the code threw, or that it ended or timed out without a report */
export async function evaluate(
  bundle: string,
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  limitMs = EVALUATE_MS,
): Promise<unknown> {
  const setup = { functionName: 'config', maxReplyBytes: 0, maxLogBytes: 0 }
  const defined = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  const child = nodeSpawner(clock)({
    bundle,
    setup,
    maxMemoryMb: undefined,
    nodeArgs: [],
    env: defined,
    cwd,
  })
  const tail = new Tail(TAIL_CHARS)
  child.onData('stdout', { write: () => undefined, end: () => undefined })
  child.onData('stderr', { write: (text) => tail.add(text), end: () => undefined })
  let late = false
  const timer = clock.after(limitMs, () => {
    late = true
    child.kill('SIGKILL')
  })
  try {
    return await new Promise((resolve, reject) => {
      child.onReport((report) => {
        const { type, value, error } = report as { type: string; value?: unknown; error?: ErrorInfo }
        if (type === 'value') resolve(value)
        else reject(new Error(errorText(error)))
      })
      child.onEnd((code, signal) => {
        const what = late
          ? `it did not end within ${formatDuration(limitMs)}`
          : `it ended (${signal ?? `code ${code}`}) without a value`
        reject(new Error(`${what}. ${tail.text}`.trim()))
      }, LAST_WORDS_MS)
    })
  } finally {
    timer.cancel()
    child.kill('SIGKILL')
  }
}
