// `nanoclaw dev`: host and runtime in one process, for the one who writes functions. Makes inbound.db, reloads what
// changes, carries acks over each second and carries out what functions ask of their host, as a host does, and shows what
// happens on stdout.
import { existsSync } from 'node:fs'
import type { Delivery, Host } from '../host/index.ts'
import { type Clock, realClock } from '../protocol/clock.ts'
import { errorText } from '../protocol/errors.ts'
import type { Paths } from '../protocol/files.ts'
import { ReportOnce } from '../protocol/report-once.ts'
import { isMoved } from '../store/sqlite/classify.ts'
import { isLocked } from '../store/sqlite/lock.ts'
import { addExamples, type Cli, type Define } from './command.ts'
import { routableOf } from './held.ts'
import { plain } from './print.ts'
import { addAllSettings, loadSettings } from './settings.ts'

const SYNC_MS = 1_000

export const define: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw dev', 'run the functions in functions/, reload them on change'],
    ['nanoclaw dev --json', 'every event as one JSON line'],
  ])
  command.option('--json', 'print every event as one JSON line')
  addAllSettings(command)
  command.action((flags: Record<string, unknown>) => dev(flags, cli))
}

/** `afresh`: its workspace is gone, which here may be thrown away at any time; the person has seen the opening already. */
async function dev(flags: Record<string, unknown>, cli: Cli, afresh = false): Promise<void> {
  const { print } = cli
  const config = await loadSettings(flags, cli)
  const [
    { createEvents, createRuntime },
    { openHost },
    { hostFolder },
    { endSoon, serve },
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
  // A workspace that another runtime serves is left as it is: start() then says who that is.
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
  // An inbound.db that is gone is made anew at once, and that is shown.
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
    await serve({ runtime, events, started })
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

/** A fault is told once, not each second, until it has passed. */
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

  /** Once more, so that inbound.db says how the last messages ended. */
  stop(): void {
    this.#timer?.cancel()
    this.#sync()
  }

  #sync(): void {
    const { inbound, outbound } = this.#paths
    // With both files gone the workspace is: the runtime notices, and all of this is begun afresh.
    if (!existsSync(inbound) && !existsSync(outbound)) return
    try {
      if (!existsSync(inbound)) {
        this.#makeInbound()
        this.#tell(`${inbound} was moved or deleted; an empty one is in its place`)
      }
      this.#host.sync()
      this.#fault.over()
    } catch (error) {
      const fault = errorText(error)
      if (this.#fault.isNews(fault)) this.#tell(fault)
    }
  }
}
