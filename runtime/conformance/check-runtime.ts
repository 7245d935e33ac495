// A runtime tried from outside: `conform` starts the command on folders of its own, plays the host, and judges what it sees
// by the rules of docs/protocol.md. Three folders at the same time: most of a trial is waiting.
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

/** What a killed process had begun to write may still come for a moment. */
const RETRIES = 5

export interface CheckOptions {
  readonly words: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Of the messages that are sent. */
  readonly kind: string
  /** How long an answer may take. */
  readonly waitMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface ConformanceReport {
  /** The command, as it behaved. */
  readonly behaviour: readonly Finding[]
  /** What it left in outbound.db. */
  readonly files: readonly Finding[]
  /** Where its folders are, when something failed; otherwise, and when it was told to stop, they are gone. */
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
  const close = () => Promise.all(stages.map((stage) => stage.close()))
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

/** For a runtime of ours, which then needs no project: an echo, and a place for its build. Others do not know these. */
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
  const touched = stages.flatMap((stage) => stage.pen.touched)
  return touched.length === 0
    ? pass('untouched', `${stages.length} folders`)
    : fail('untouched', `changed while the host was quiet: ${[...new Set(touched)].join('; ')}`)
}
