// Containers of an upstream host: the runtime in this process or in one of its own, on the folder that the
// host says.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../../runtime/config/options.ts'
import { createEvents } from '../../../runtime/protocol/events.ts'
import { createRuntime, type Runtime } from '../../../runtime/runtime.ts'
import { compiled } from '../../support/compiled.ts'
import { testConfig } from '../../support/config.ts'
import type { Container } from './upstream.ts'

export class RuntimeContainer implements Container {
  readonly #config: Config
  #runtime: Runtime | undefined

  /** @param root the project; its functions are shared by all containers */
  constructor(root: string, workspace: string, change: Partial<Config> = {}) {
    const { paths, ...config } = testConfig(root)
    const moved = Object.entries(paths).map(([name, path]) => [
      name,
      path.replace(config.workspace, workspace),
    ])
    this.#config = { ...config, workspace, paths: Object.fromEntries(moved), ...change }
  }

  get running(): boolean {
    return this.#runtime !== undefined
  }

  async start(): Promise<void> {
    this.#runtime = createRuntime(this.#config, createEvents())
    await this.#runtime.start()
  }

  async stop(): Promise<void> {
    await this.#runtime?.stop()
    this.#runtime = undefined
  }
}

const CLI = fileURLToPath(new URL('../../../dist/bin/main.js', import.meta.url))
const ENTRY = fileURLToPath(new URL('../../soak/entry.ts', import.meta.url))
/**
 * Between SIGTERM and SIGKILL. The hosts in the field give one second, of which a stop needs a sixth; on a
 * machine that is busy with something else the same work takes more than all of it. So this only says that a
 * stop comes to its end. What it waits for on its way there is counted in lifecycle.test.ts, by a clock that
 * no machine slows down.
 */
const STOP_MS = 60_000

export class ProcessContainer implements Container {
  readonly #root: string
  readonly #workspace: string
  #child: ChildProcess | undefined
  #said = ''
  env: Readonly<Record<string, string>> = {}
  /** `point:nth`: where the next one ends itself, see test/soak/failpoints.ts. */
  crashAt: string | undefined

  constructor(root: string, workspace: string) {
    this.#root = root
    this.#workspace = workspace
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /**
   * What the last one has written to stderr: errors, and where it ended itself because something would not
   * let it end.
   */
  get said(): string {
    return this.#said
  }

  async start(): Promise<void> {
    this.#said = ''
    const command =
      this.crashAt === undefined
        ? [CLI, 'start', '--log-level', 'error']
        : [await compiled(ENTRY), JSON.stringify({ logLevel: 'error' }), this.crashAt]
    this.#child = spawn(process.execPath, ['--trace-exit', ...command], {
      cwd: this.#root,
      env: { ...process.env, NANOCLAW_WORKSPACE: this.#workspace, ...this.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
  }

  /** @returns the exit code; null when it had to be killed */
  async stop(): Promise<number | null> {
    const child = this.#child
    if (!child || !this.running) return null
    const end = once(child, 'close')
    child.kill('SIGTERM')
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    const [code] = (await end) as [number | null]
    clearTimeout(impatience)
    return code
  }

  kill(): void {
    this.#child?.kill('SIGKILL')
  }
}

/** One function for everything, so that one process serves a whole story. What it does, the content says. */
export const HANDLER = `
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export default {
  on: {}, key: null, timeout: '55s', retry: { attempts: 2, minDelay: '10ms', maxDelay: '10ms' },
  async handler({ id, content, ...message }, ctx) {
    const { platformId, channelType, threadId } = message
    switch (content.do ?? content.type) {
      case 'fail':
        throw new Error('no')
      case 'hold':
        return new Promise((resolve) => ctx.signal.addEventListener('abort', () => resolve(undefined)))
      case 'later':
        ctx.reply('past', { deliverAfter: new Date(Date.now() - 60_000) })
        ctx.reply('future', { deliverAfter: new Date(Date.now() + 3_600_000) })
        return
      case 'plan': {
        const processAfter = new Date(Date.now() - 60_000).toISOString().slice(0, 19).replace('T', ' ')
        const task = { taskId: 'planned', prompt: 'water', processAfter, platformId, channelType, threadId }
        ctx.reply({ action: 'schedule_task', ...task }, { kind: 'system' })
        return
      }
      case 'order':
        ctx.reply({ action: 'cli_request', requestId: 'r-1', command: 'groups list', args: {} }, { kind: 'system' })
        return
      case 'ask':
        ctx.reply(
          { type: 'ask_question', questionId: content.questionId, title: 'Sure?', question: 'Sure?', options: content.options },
          { kind: 'chat-sdk' },
        )
        return
      case 'copy': {
        const workspace = process.env.NANOCLAW_WORKSPACE
        const [{ name, localPath }] = content.attachments
        mkdirSync(join(workspace, 'outbox', ctx.replyId), { recursive: true })
        writeFileSync(join(workspace, 'outbox', ctx.replyId, name), readFileSync(join(workspace, localPath)))
        return { text: 'here', files: [name] }
      }
      case 'file': {
        const folder = join(process.env.NANOCLAW_WORKSPACE, 'outbox', ctx.replyId)
        mkdirSync(folder, { recursive: true })
        writeFileSync(join(folder, 'a.txt'), 'text')
        return { text: 'here', files: ['a.txt'] }
      }
      case 'stranger':
        ctx.reply('psst', { channelType: 'slack', platformId: 'elsewhere' })
        return
      case 'question_response':
        return 'answered ' + content.selectedOption
      case 'cli_response':
        return 'listed ' + content.frame.data
    }
    return content.prompt ? 'did ' + content.prompt : 'said ' + content.text
  },
}
`
