// `nanoclaw send KIND [CONTENT]`: writes one message as a host does, and with --wait stays until it has
// ended.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { realClock } from '../protocol/clock.ts'
import { formatDuration, parseDuration } from '../protocol/duration.ts'
import { errorText, NanoclawError } from '../protocol/errors.ts'
import { isoTime, parseTime } from '../protocol/time.ts'
import { isLocked } from '../store/sqlite/lock.ts'
import { addExamples, type Cli, type Define } from './command.ts'
import { nameAndMessage } from './describe.ts'
import { CommandFailed } from './exit.ts'
import { hostFolder } from './host-folder.ts'
import { plain } from './print.ts'
import { replyText } from './reply-text.ts'
import { addWorkspaceSettings, loadWorkspace } from './settings.ts'
import { type WaitResult, waitForEnd } from './wait.ts'

const WAIT_MS = 60_000

interface SendFlags {
  readonly file?: string
  readonly thread?: string
  readonly channel?: string
  readonly platform?: string
  readonly after?: string
  readonly id?: string
  readonly wait?: string | true
  readonly json?: true
  readonly [setting: string]: unknown
}

export const defineSend: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw send chat hello --wait', 'send { "text": "hello" }, print the replies'],
    [`nanoclaw send webhook '{"action":"opened"}'`, 'send JSON unchanged'],
    ['nanoclaw send webhook --file delivery.json', 'the same from a file; - reads standard input'],
    ['nanoclaw send remind tea --after 10m', 'not before ten minutes from now'],
  ])
  command
    .argument(
      '<kind>',
      'kind of the message; a function takes the kind of its own name unless its `on` says otherwise',
    )
    .argument(
      '[content]',
      'JSON (an object, a list or quoted text), or plain text, which becomes { "text": … }; - reads stdin',
    )
    .option('--file <file>', 'read the content from a file')
    .option('--thread <id>', 'thread_id: messages of one thread run in order')
    .option('--channel <type>', 'channel_type')
    .option('--platform <id>', 'platform_id')
    .option(
      '--after <when>',
      "not before: a duration such as '10s', '5m', or a time such as 2026-11-24T06:02:20Z",
    )
    .option('--id <id>', 'id of the message; sending the same one twice sends it once (default: a new one)')
    .option(
      '--wait [timeout]',
      `wait until it has ended, print its replies (default: ${formatDuration(WAIT_MS)} at most)`,
    )
    .option('--json', 'print one JSON object')
  addWorkspaceSettings(command)
  command.action((kind: string, content: string | undefined, flags: SendFlags) =>
    send(kind, content, flags, cli),
  )
}

async function send(kind: string, given: string | undefined, flags: SendFlags, cli: Cli): Promise<void> {
  const { print } = cli
  const waitMs = waitLength(flags.wait)
  const processAfter = dueTime(flags.after)
  const content = await contentOf(given, flags.file, cli.cwd)
  const { workspace, paths } = await loadWorkspace(flags, cli)
  const { openHost } = await import('../host/index.ts')
  const host = openHost(hostFolder(workspace, paths))
  const { thread: threadId, channel: channelType, platform: platformId, id: ownId } = flags
  const message = { kind, content, threadId, channelType, platformId, processAfter }
  const { id, duplicate } = host.enqueue(
    ownId === undefined ? withoutGaps(message) : withoutGaps({ ...message, id: ownId }),
  )
  host.close()

  if (!flags.json) print.data(plain(id, 2_000))
  if (duplicate) print.talk(`Message ${plain(id)} exists already; nothing was sent.`)
  if (!isLocked(paths.lock))
    print.talk(print.paintTalk('yellow', `No runtime serves ${paths.inbound} now; start one: nanoclaw dev`))
  if (waitMs === undefined) {
    if (flags.json) print.json({ id, duplicate })
    return
  }
  const end = await waitForEnd(paths, id, waitMs, realClock)
  if (flags.json) print.json({ id, duplicate, ...end })
  else for (const { content: reply } of end.replies) print.data(replyText(reply))
  if (end.state !== 'completed') throw new CommandFailed(endText(id, end, waitMs))
}

function withoutGaps<T extends object>(message: T): T {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined)) as T
}

function waitLength(given: string | true | undefined): number | undefined {
  if (given === undefined) return undefined
  const waitMs = given === true ? WAIT_MS : parseDuration(given)
  if (waitMs !== undefined) return waitMs
  const legal = "a duration such as '10s', or nothing; if it is meant as KIND or CONTENT, write --wait last"
  throw new NanoclawError('bad_usage', `--wait: found ${JSON.stringify(given)}; expected ${legal}`)
}

function dueTime(given: string | undefined): Date | undefined {
  if (given === undefined) return undefined
  const delayMs = parseDuration(given)
  const atMs = delayMs === undefined ? parseTime(given) : realClock.now() + delayMs
  if (atMs !== undefined) return new Date(atMs)
  const legal = `a duration such as '10s', '5m', '1h', or a time such as ${isoTime(realClock.now())} (without a zone: UTC)`
  throw new NanoclawError('bad_usage', `--after: found ${JSON.stringify(given)}; expected ${legal}`)
}

async function contentOf(given: string | undefined, file: string | undefined, cwd: string): Promise<unknown> {
  if (given !== undefined && file !== undefined)
    throw new NanoclawError('bad_usage', 'Both CONTENT and --file were given; expected one of them')
  if (file !== undefined) return parseContent(await readFile(file, cwd), `--file ${file}`)
  if (given === '-') return parseContent(await readAll(process.stdin), 'standard input')
  return given === undefined ? {} : parseContent(given, 'CONTENT')
}

async function readFile(file: string, cwd: string): Promise<string> {
  try {
    return file === '-' ? await readAll(process.stdin) : readFileSync(resolve(cwd, file), 'utf8')
  } catch (error) {
    throw new NanoclawError('bad_usage', `--file: cannot read ${file}: ${errorText(error)}`, { cause: error })
  }
}

/** Objects, lists and quoted text are parsed as JSON; `42` and `true` stay text. */
export function parseContent(given: string, origin: string): unknown {
  const text = given.trim()
  if (!/^[[{"]/.test(text)) return { text: given.replace(/\r?\n$/, '') }
  try {
    return JSON.parse(text)
  } catch (error) {
    if (text.startsWith('"')) return { text: given }
    const remedy = 'quote it for the shell, or send it as text: {"text":"…"}'
    throw new NanoclawError(
      'bad_usage',
      `${origin} begins like JSON but is not valid JSON (${errorText(error)}); ${remedy}`,
    )
  }
}

function endText(id: string, { state, reason, error, why }: WaitResult, waitMs: number): string {
  const words = [...(reason ? [plain(reason)] : []), ...(error ? [nameAndMessage(error)] : [])].join(': ')
  if (state === 'failed') return `${id} failed${words && ` (${words})`}. More: nanoclaw show ${id}`
  const last = words && `; its last run: ${words}`
  const because = why === undefined ? '' : `: ${why}`
  return `${id} has not ended after ${formatDuration(waitMs)}${because}${last}. It stays in the queue: nanoclaw show ${id}`
}
