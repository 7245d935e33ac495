// The demo: a runtime in a process of its own, and this process as its host, on real input. They share only a
// folder with two SQLite files. Ends with 0 only when every message ended as expected. `npm run demo --
// --keep` keeps the folder.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openHost } from 'nanoclaw-functions/host'
import { Ledger } from './ledger.ts'
import { burst, chat, conversation, deliveries, openSite, type Planned } from './messages.ts'
import { View } from './view.ts'

/** Pause between two deliveries: most of them find an idle runtime, so the latency has no queueing time. */
const PACE_MS = 20
const REPLY_POLL_MS = 2
const SYNC_MS = 200
/** Time limit of each part, far above the usual time. */
const PATIENCE_MS = 30_000
/** A runtime drains for at most 7 s. */
const STOP_MS = 10_000

const folder = mkdtempSync(join(tmpdir(), 'nanoclaw-demo-'))
const host = openHost(folder, { keepOpen: true })
const site = await openSite()
const runtime = startRuntime()
const ledger = new Ledger()
const view = new View(ledger)
/** Aborts all loops at the end. */
const over = new AbortController()

class Interrupted extends Error {}
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => reject(new Interrupted(`interrupted by ${signal}`)))
})

try {
  await Promise.race([story(), readReplies(), carryAcks(), runtime.diedEarly, interrupted])
  over.abort()
  await runtime.stop()
  view.table(ledger.summary())
  end(ledger.faults(host))
} catch (error) {
  over.abort()
  const { message } = error as Error
  if (error instanceof Interrupted) end([message], 130)
  else end([message, ...ledger.faults(host)])
} finally {
  await runtime.stop().catch(() => undefined)
  site.close()
  host.close()
  if (process.argv.includes('--keep')) view.say(`  The two files are in ${folder}\n`)
  else rmSync(folder, { recursive: true, force: true })
}

async function story(): Promise<void> {
  view.begin('A runtime starts, and answers its first message', 1)
  send([chat('hello', 'hello')])
  await allEnded()

  const singly = [...conversation(site.url), ...deliveries()]
  view.begin('Everything that GitHub sends, each in a commit of its own; and some chat', singly.length)
  for (const planned of singly) {
    send([planned])
    await sleep(PACE_MS, undefined, over)
  }
  await allEnded()

  const together = burst(60, 50)
  view.begin('60 people ask 50 things each, all in one commit', together.length)
  send(together)
  await allEnded()
}

/** One commit: when enqueueMany returns, all of them are on the disk. */
function send(planned: readonly Planned[]): void {
  const enqueued = host.enqueueMany(planned.map(({ message }) => message))
  for (const [index, { id }] of enqueued.entries()) ledger.sent(id, planned[index]!)
}

async function allEnded(): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS
  while (!ledger.done) {
    if (performance.now() > deadlineMs) throw new Error(`after ${PATIENCE_MS / 1000} s, some have not ended`)
    await sleep(REPLY_POLL_MS, undefined, over)
  }
  view.finish()
}

async function readReplies(): Promise<void> {
  for await (const reply of host.replies({ signal: over.signal, pollMs: REPLY_POLL_MS })) {
    const answered = ledger.replied(reply)
    if (answered?.label) view.sample(answered.label, reply.content.text)
  }
}

/** Copies acks from time to time, as a host does. */
async function carryAcks(): Promise<void> {
  while (!over.signal.aborted) {
    ledger.acked(host.sync())
    view.progress()
    await sleep(SYNC_MS, undefined, over)
  }
}

function end(faults: readonly string[], exitCode = faults.length > 0 ? 1 : 0): void {
  view.verdict(faults)
  process.exitCode = exitCode
}

function startRuntime() {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const args = [join(root, 'dist/bin/main.js'), 'start', '--workspace', folder]
  // Detached: Ctrl-C reaches the demo alone, and the demo stops the runtime like every host.
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let lastWords: string[] = []
  createInterface(child.stderr).on('line', (line) => {
    lastWords = [...lastWords.slice(-2), line]
  })
  let asked = false
  const ended = once(child, 'close').then(([code, signal]) => {
    if (!asked || code !== 0)
      throw new Error(`the runtime ended with ${signal ?? code}; its last output:\n${lastWords.join('\n')}`)
  })
  return {
    diedEarly: ended.then(() => new Promise<never>(() => {})),
    async stop(): Promise<void> {
      asked = true
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await ended.finally(() => clearTimeout(timer))
    },
  }
}
