// A real runtime in this process on a fresh workspace: real files, real child processes, the fixtures as its functions.
// The test plays the host with its own handles, so a slip in our host library cannot hide one in the runtime.
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { Config } from '../../runtime/config/options.ts'
import { createEvents, type Events } from '../../runtime/protocol/events.ts'
import { RUNNING } from '../../runtime/protocol/schema.ts'
import { createRuntime, type Runtime, type RuntimeOptions } from '../../runtime/runtime.ts'
import { testConfig } from './config.ts'
import {
  type AtEnd,
  type Db,
  headInbound,
  insertMessage,
  type MessageColumns,
  openDb,
  tempDir,
} from './files.ts'

export { testConfig } from './config.ts'

const FIXTURES = fileURLToPath(new URL('../fixtures/functions/', import.meta.url))

/** A project folder with these fixtures as functions, and functions given as source text. */
export function project(
  fixtures: readonly string[],
  sources: Readonly<Record<string, string>> = {},
  atEnd?: AtEnd,
): string {
  const root = tempDir(atEnd)
  mkdirSync(join(root, 'functions'))
  mkdirSync(join(root, 'workspace'))
  for (const name of fixtures) cpSync(join(FIXTURES, `${name}.ts`), join(root, 'functions', `${name}.ts`))
  for (const [file, source] of Object.entries(sources)) writeFileSync(join(root, 'functions', file), source)
  return root
}

export interface Workbench {
  readonly config: Config
  readonly events: Events
  readonly runtime: Runtime
  /** The host's own handle on inbound.db. */
  readonly inbound: Db
  /** The host's view of outbound.db. */
  readonly outbound: Db
  /** Inserts a message; content is an object, or text as it is to stand in the file. */
  send(kind: string, content?: unknown, columns?: MessageColumns): string
  ack(id: string): string | undefined
  replies(
    id: string,
  ): { readonly id: string; readonly seq: number; readonly kind: string; readonly content: any }[]
  runs(id: string): {
    readonly run: number
    readonly attempt: number
    readonly outcome: string | null
    readonly reason: string | null
    readonly error: any
    readonly worker: number
  }[]
  /** Waits until every one of these messages has a terminal ack. */
  ended(...ids: string[]): Promise<void>
}

/** Starts a runtime with these functions and stops it when the test ends. */
export async function workbench(
  fixtures: readonly string[],
  change: Partial<Config> = {},
  sources: Readonly<Record<string, string>> = {},
): Promise<Workbench> {
  return workbenchAt(project(fixtures, sources), change)
}

/** The same in a project folder that is there already, for instance after an earlier runtime. */
export async function workbenchAt(root: string, change: Partial<Config> = {}): Promise<Workbench> {
  const bench = benchOf(testConfig(root, change))
  onTestFinished(() => bench.runtime.stop())
  await bench.runtime.start()
  return bench
}

/** A bench whose runtime is not started: for tests of the start itself. */
export function benchOf(config: Config, atEnd?: AtEnd, options?: RuntimeOptions): Workbench {
  const { inbound: inboundPath, outbound: outboundPath } = config.paths
  const events = createEvents()
  const inbound = existsSync(inboundPath) ? openDb(inboundPath, {}, atEnd) : headInbound(inboundPath, atEnd)
  let view: Db | undefined
  const outbound = () => (view ??= openDb(outboundPath, { readonly: true }, atEnd))
  const ack = (id: string) =>
    outbound().prepare('select status from processing_ack where message_id = ?').pluck().get(id) as
      | string
      | undefined
  return {
    config,
    events,
    runtime: createRuntime(config, events, options),
    inbound,
    get outbound() {
      return outbound()
    },
    ack,
    send: (kind, content = {}, columns = {}) => insertMessage(inbound, { kind, content, ...columns }).id,
    replies: (id) => {
      const rows = outbound()
        .prepare('select id, seq, kind, content from messages_out where in_reply_to = ? order by seq')
        .all(id)
      return (rows as any[]).map((row) => ({ ...row, content: JSON.parse(row.content) }))
    },
    runs: (id) => {
      const rows = outbound()
        .prepare(
          `select run, attempt, outcome, reason, error, worker from nanoclaw_run where message_id = :id
           union all select run, attempt, null, null, null, worker from (${RUNNING}) where message_id = :id order by run`,
        )
        .all({ id })
      return (rows as any[]).map((row) => ({ ...row, error: parsed(row.error) }))
    },
    ended: (...ids) =>
      until(
        () => ids.every((id) => TERMINAL.has(ack(id) ?? '')),
        () => `acks: ${ids.map((id) => `${id} ${ack(id)}`).join(', ')}`,
      ),
  }
}

/** One runtime for all tests of a file; its messages do not know each other. Call it at the top of the file. */
export function sharedBench(
  fixtures: readonly string[],
  change: Partial<Config> = {},
  sources: Readonly<Record<string, string>> = {},
): () => Workbench {
  const ends: (() => unknown)[] = []
  let bench: Workbench | undefined
  beforeAll(async () => {
    const atEnd: AtEnd = (end) => void ends.push(end)
    bench = benchOf(testConfig(project(fixtures, sources, atEnd), change), atEnd)
    await bench.runtime.start()
    ends.push(() => bench?.runtime.stop())
  })
  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })
  return () => bench!
}

const TERMINAL = new Set(['completed', 'failed'])

/** Waits for a condition, with a deadline; the only kind of waiting in the tests. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  explain: () => string = () => String(condition),
  deadlineMs = 60_000,
): Promise<void> {
  const endMs = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${explain()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** An error is kept as JSON, the detail of a refusal as text. */
function parsed(error: string | null): unknown {
  return error?.startsWith('{') ? JSON.parse(error) : error
}
