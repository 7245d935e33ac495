// Tests a runtime from outside: `conform` starts the command on temporary folders, acts as the host, and
// checks what it observes against the rules of docs/protocol.md. Three folders run at the same time, since
// most of a test is waiting.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../protocol/clock.ts'
import type { Finding } from './checks.ts'
import { fail, pass } from './checks.ts'
import { examineOutbound } from './folder.ts'
import { Testbed } from './testbed.ts'
import { checkHostFaults, checkKill } from './trouble.ts'
import { checkWork } from './work.ts'

/** A killed process may still complete a write for a moment. */
const RETRIES = 5

export interface CheckOptions {
  readonly words: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Kind of the messages that are sent. */
  readonly kind: string
  /** Time limit of one reply. */
  readonly waitMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface ConformanceReport {
  /** Findings about the command's behaviour. */
  readonly behaviour: readonly Finding[]
  /** Findings about its outbound.db. */
  readonly files: readonly Finding[]
  /** Path of its folders when a check failed; null: they were removed. */
  readonly kept: string | null
  readonly tookMs: number
}

export async function checkRuntime({ waitMs, signal, ...options }: CheckOptions): Promise<ConformanceReport> {
  const { clock } = options
  const startedMs = clock.monotonic()
  const scratch = mkdtempSync(join(tmpdir(), 'nanoclaw-conform-'))
  const env = { ...options.env, ...ownFunction(scratch, options.kind) }
  const stages = ['work', 'kill', 'rough-host'].map(
    (name) => new Testbed(join(scratch, name), { ...options, env }),
  ) as [Testbed, Testbed, Testbed]
  const close = () => Promise.all(stages.map((testbed) => testbed.close()))
  signal.addEventListener('abort', close)
  try {
    const [work, kill, rough] = await Promise.all([
      checkWork(stages[0], clock, waitMs),
      checkKill(stages[1], clock, waitMs),
      checkHostFaults(stages[2], clock, waitMs),
    ])
    await close()
    const behaviour = [...work, ...kill, ...rough, untouched(stages)]
    const files = examineOutbound(stages[0].paths, clock.now())
    const failed = [...behaviour, ...files].some(({ verdict }) => verdict === 'fail')
    if (!failed) rmSync(scratch, { recursive: true, force: true, maxRetries: RETRIES })
    return { behaviour, files, kept: failed ? scratch : null, tookMs: clock.monotonic() - startedMs }
  } finally {
    await close()
    if (signal.aborted) rmSync(scratch, { recursive: true, force: true, maxRetries: RETRIES })
    signal.removeEventListener('abort', close)
  }
}

/**
 * For this project's runtime, which then needs no project: an echo function and a build folder. Other
 * runtimes ignore these.
 */
function ownFunction(scratch: string, kind: string): Readonly<Record<string, string>> {
  const functions = join(scratch, 'functions')
  mkdirSync(functions)
  writeFileSync(
    join(functions, 'echo.js'),
    `export default { on: { kind: ${JSON.stringify(kind)} }, handler: (message) => ({ echo: message.content }) }\n`,
  )
  return { NANOCLAW_FUNCTIONS: functions, NANOCLAW_CACHE: join(scratch, 'build') }
}

export function untouched(stages: readonly Testbed[]): Finding {
  const touched = stages.flatMap((testbed) => testbed.writer.touched)
  return touched.length === 0
    ? pass('untouched', `${stages.length} folders`)
    : fail('untouched', `changed while the host was quiet: ${[...new Set(touched)].join('; ')}`)
}
