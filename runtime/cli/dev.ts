// `nanoclaw dev`: host and runtime in one process, for writing functions. Creates inbound.db, reloads changed
// functions, copies acks each second, executes the actions of replies of kind `system`, and prints events to
// stdout.
import { existsSync } from 'node:fs'
import type { Delivery, Host } from '../host/index.ts'
import { type Clock, realClock } from '../protocol/clock.ts'
import { errorText } from '../protocol/errors.ts'
import type { Paths } from '../protocol/files.ts'
import { ReportOnce } from '../protocol/report-once.ts'
import { isMoved } from '../store/sqlite/classify.ts'
import { isLocked } from '../store/sqlite/lock.ts'
import { addExamples, type Cli, type Define } from './command.ts'
import { plain } from './print.ts'
import { addAllSettings, loadSettings } from './settings.ts'
import { routableOf } from './unroutable.ts'

const SYNC_MS = 1_000

export const defineDev: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw dev', 'run the functions in functions/, reload them on change'],
    ['nanoclaw dev --json', 'every event as one JSON line'],
  ])
  command.option('--json', 'print every event as one JSON line')
  addAllSettings(command)
  command.action((flags: Record<string, unknown>) => dev(flags, cli))
}

/**
 * `afresh`: the workspace was deleted, which is allowed here at any time; the opening lines are not printed
 * again.
 */
async function dev(flags: Record<string, unknown>, cli: Cli, afresh = false): Promise<void> {
  const { print } = cli
  const config = await loadSettings(flags, cli)
  const [
    { createEvents, createRuntime },
    { openHost },
    { hostFolder },
    { endSoon, serveUntilStopped },
    view,
    json,
    { deliver },
    { readMessage },
  ] = await Promise.all([
    import('../runtime.ts'),
    import('../host/index.ts'),
    import('./host-folder.ts'),
    import('./serve.ts'),
    import('./view.ts'),
    import('./print-events.ts'),
    import('./deliver.ts'),
    import('../store/sqlite/inspect-message.ts'),
  ])
  const events = createEvents()
  const runtime = createRuntime(config, events, { tolerant: true })
  if (flags.json) json.printEvents(events, print)
  else {
    const { root, workspace, paths } = config
    const functions = () => runtime.functions
    events.once('started', () => {
      if (afresh) return
      print.data(...view.openingLines({ root, workspace, functions: functions() }, print.paint))
    })
    view.showEvents(events, functions, (id) => routableOf(readMessage(paths, id).message), print)
  }
  // A workspace that another runtime serves is left unchanged: start() then fails with its process id.
  const host = isLocked(config.paths.lock) ? undefined : openHost(hostFolder(config.workspace, config.paths))
  const syncing =
    host &&
    new Syncing(
      host,
      realClock,
      config.paths,
      () => openHost(host.dir).close(),
      (text) => print.talk(print.paintTalk('yellow', plain(text, 1_000))),
    )
  const show = flags.json ? json.actionPrinter(print) : view.actionViewer(print)
  // Recreates a deleted inbound.db at once, and reports it.
  const showAction: typeof show = (event, action) => {
    if (event.type !== 'blocked' || existsSync(config.paths.inbound)) show(event, action)
  }
  let delivery: Delivery | undefined
  const started = () => {
    runtime.watchSources()
    syncing?.start()
    delivery = host && deliver(host, config.workspace, showAction)
  }
  let gone = false
  events.once('fatal', ({ error }) => {
    gone = isMoved(error)
  })
  try {
    await serveUntilStopped({ runtime, events, started })
  } catch (error) {
    if (!gone) throw error
    events.removeAllListeners()
    await runtime.stop()
  } finally {
    await delivery?.stop()
    syncing?.stop()
    host?.close()
    if (!gone) endSoon()
  }
  if (gone) await dev(flags, cli, true)
}

/** Reports a fault once, not each second, until it has passed. */
class Syncing {
  readonly #host: Host
  readonly #clock: Clock
  readonly #paths: Paths
  readonly #makeInbound: () => void
  readonly #tell: (fault: string) => void
  #timer: { cancel(): void } | undefined
  readonly #fault = new ReportOnce()

  constructor(
    host: Host,
    clock: Clock,
    paths: Paths,
    makeInbound: () => void,
    tell: (fault: string) => void,
  ) {
    this.#host = host
    this.#clock = clock
    this.#paths = paths
    this.#makeInbound = makeInbound
    this.#tell = tell
  }

  start(): void {
    this.#timer = this.#clock.after(SYNC_MS, () => {
      this.#sync()
      this.start()
    })
  }

  /** Once more, so that inbound.db has the states of the last messages. */
  stop(): void {
    this.#timer?.cancel()
    this.#sync()
  }

  #sync(): void {
    const { inbound, outbound } = this.#paths
    // Looked at once, and before outbound.db: the workspace may go at any moment, and both files with it.
    const isMissing = !existsSync(inbound)
    // Without both files the workspace is deleted: the runtime detects it, and dev starts again.
    if (isMissing && !existsSync(outbound)) return
    try {
      if (isMissing) {
        this.#makeInbound()
        this.#tell(`${inbound} was moved or deleted; an empty one replaces it`)
      }
      this.#host.sync()
      this.#fault.over()
    } catch (error) {
      if (!existsSync(inbound) && !existsSync(outbound)) return
      const fault = errorText(error)
      if (this.#fault.isNews(fault)) this.#tell(fault)
    }
  }
}
