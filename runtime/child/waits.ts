// The waits of one run: ctx.sleep and ctx.ask. A wait without an end on record never settles in this run:
// when the handler has nothing else to do, the run is suspended, and the message runs again from the top once
// the wait has ended.
import { DURATION_FORMS, parseDuration } from '../protocol/duration.ts'
import type { Answer, AnswerOption, Question } from '../protocol/handler.ts'
import type { Reply } from '../protocol/outcome.ts'
import { addressKey, type NewWait, type RecordedWait, WAITS_MAX } from '../protocol/waits.ts'
import type { Replies } from './replies.ts'
import { inQuotes, pauseOrAbort, type RunNames, StepMisuse, stepId, wrongKind } from './steps.ts'

/** How a suspended run ends. */
export interface Suspension {
  /** Those that are not on record yet. */
  readonly waits: readonly NewWait[]
  /** What was said since the last wait on record; none without a new wait. */
  readonly replies: readonly Reply[]
  /** False: something that the handler has started goes on, so the process must not be used again. */
  readonly isQuiet: boolean
}

interface WaitsParts {
  readonly names: RunNames
  readonly scope: string
  readonly messageId: string
  /** On record. */
  readonly waits: readonly RecordedWait[]
  readonly replies: Replies
  readonly signal: () => AbortSignal
  /** A step is under way. */
  readonly isBusy: () => boolean
  /** Active resources of the process before the handler began. */
  readonly resources: number
  readonly suspend: (suspension: Suspension) => void
}

/** So long a sleep stays in the process: two commits cost more than the process does. */
const SHORT_SLEEP_MS = 1_000
/** Nothing waits for ever unseen, and minutes are too short for people. */
const QUESTION_TIMEOUT_MS = 30 * 24 * 60 * 60 * 1000
const TITLE_CHARS_MAX = 60
/** Chat platforms show no more buttons in a row. */
const OPTIONS_MAX = 10
/** How long something that the handler has started may still go on before its process is given up. */
const QUIET_WITHIN_MS = 1_000
const LOOK_EVERY_MS = 10

export class Waits {
  readonly #parts: WaitsParts
  readonly #recorded: ReadonlyMap<string, RecordedWait>
  readonly #new: Omit<NewWait, 'said' | 'isAlone'>[] = []
  /** Waits on record that this run has come to, and that are still open. */
  #open = 0
  #looking = false
  #closed = false

  constructor(parts: WaitsParts) {
    this.#parts = parts
    this.#recorded = new Map(parts.waits.map((wait) => [wait.name, wait]))
  }

  async sleep(name: string, until: unknown): Promise<void> {
    this.#parts.names.use('ctx.sleep', name)
    const end = untilOf(name, until)
    const recorded = this.#pass(name, 'sleep')
    if (recorded && recorded.state !== 'open') return
    if (!recorded && leftMs(end) <= SHORT_SLEEP_MS) return pauseOrAbort(leftMs(end), this.#parts.signal())
    return this.#wait(recorded ? undefined : { name, kind: 'sleep', until: end, question: null })
  }

  async ask(name: string, question: Question): Promise<Answer | null> {
    const { names, replies, scope, messageId } = this.#parts
    names.use('ctx.ask', name)
    const asked = questionOf(name, question)
    const recorded = this.#pass(name, 'ask')
    if (recorded && recorded.state !== 'open') return answerOf(recorded)
    if (recorded) return this.#wait(undefined)
    const id = `q-${stepId(scope, messageId, name).slice(0, 24)}`
    const to = { ...replies.address, ...asked.to }
    if (to.channelType === null || to.platformId === null)
      throw new StepMisuse(
        'no_address',
        `The question ${inQuotes(name)} has no address: the message has none, and \`to\` gives no channelType and platformId. Say whom to ask.`,
      )
    if (asked.options === undefined) replies.add(asked.question, { ...to, kind: 'chat' })
    else
      replies.add(
        {
          type: 'ask_question',
          questionId: id,
          title: asked.title,
          question: asked.question,
          options: asked.options,
        },
        { ...to, kind: 'chat-sdk' },
      )
    return this.#wait({
      name,
      kind: 'ask',
      until: { forMs: asked.timeoutMs },
      question: {
        id,
        values: asked.options?.map(({ value }) => value) ?? null,
        address: asked.freeText ? addressKey(to) : null,
      },
    })
  }

  /** The handler has ended: there is nothing to wait for any more. */
  close(): void {
    this.#closed = true
  }

  /** Something has ended that kept the run from being suspended. */
  look(): void {
    if (this.#looking || this.#closed || this.#new.length + this.#open === 0) return
    this.#looking = true
    // Twice: whatever the handler does next without waiting has been done by then.
    setImmediate(() =>
      setImmediate(() => {
        this.#looking = false
        this.#suspendWhenQuiet(performance.now())
      }),
    )
  }

  /** A wait that is on record: what was said before it went out with it. */
  #pass(name: string, kind: RecordedWait['kind']): RecordedWait | undefined {
    const recorded = this.#recorded.get(name)
    if (!recorded) return undefined
    if (recorded.kind !== kind) throw wrongKind(name, KINDS[recorded.kind], KINDS[kind])
    this.#parts.replies.pass(recorded)
    return recorded
  }

  /** Never settles. */
  #wait(wait: Omit<NewWait, 'said' | 'isAlone'> | undefined): Promise<never> {
    if (wait) this.#new.push(wait)
    else this.#open++
    if (this.#new.length + this.#open > WAITS_MAX)
      throw new StepMisuse(
        'too_many_waits',
        `The message waits for ${WAITS_MAX + 1} things at a time, and ${WAITS_MAX} is the most. Wait for some of them first.`,
      )
    this.look()
    return new Promise(() => undefined)
  }

  #suspendWhenQuiet(sinceMs: number): void {
    const { isBusy, resources, replies, suspend } = this.#parts
    if (this.#closed || isBusy()) return
    const isQuiet = process.getActiveResourcesInfo().length <= resources
    if (!isQuiet && performance.now() - sinceMs < QUIET_WITHIN_MS) {
      setTimeout(() => this.#suspendWhenQuiet(sinceMs), LOOK_EVERY_MS).unref()
      return
    }
    this.#closed = true
    const isAlone = this.#new.length + this.#open === 1
    const said = replies.hashes()
    suspend({
      waits: this.#new.map((wait) => ({ ...wait, said, isAlone })),
      replies: this.#new.length > 0 ? replies.list : [],
      isQuiet,
    })
  }
}

const KINDS: Readonly<Record<RecordedWait['kind'], string>> = { sleep: 'a sleep', ask: 'a question' }

/** @throws TypeError */
function untilOf(name: string, until: unknown): NewWait['until'] {
  if (until instanceof Date && !Number.isNaN(until.getTime())) return { atMs: until.getTime() }
  const forMs = parseDuration(until)
  if (forMs === undefined)
    throw new TypeError(
      `sleep ${inQuotes(name)}: expected ${DURATION_FORMS}, or a valid Date; found ${String(until)}`,
    )
  return { forMs }
}

function leftMs(until: NewWait['until']): number {
  return 'forMs' in until ? until.forMs : Math.max(until.atMs - Date.now(), 0)
}

interface CheckedQuestion {
  readonly title: string
  readonly question: string
  readonly options:
    | readonly { readonly value: string; readonly label: string; readonly selectedLabel: string }[]
    | undefined
  readonly freeText: boolean
  readonly to: Question['to']
  readonly timeoutMs: number
}

const FIELDS = ['title', 'question', 'options', 'freeText', 'to', 'timeout']

function questionOf(name: string, asked: Question): CheckedQuestion {
  const bad = (fault: string) => new StepMisuse('bad_question', `The question ${inQuotes(name)} ${fault}`)
  if (typeof asked !== 'object' || asked === null) throw bad(`is ${typeof asked}; expected { question: '…' }`)
  const unknown = Object.keys(asked).find((field) => !FIELDS.includes(field))
  if (unknown !== undefined) throw bad(`has no field ${inQuotes(unknown)}; legal are ${FIELDS.join(', ')}`)
  const { question, title = question, options, to, timeout = QUESTION_TIMEOUT_MS } = asked
  const { freeText = options === undefined } = asked
  if (typeof question !== 'string' || question.trim() === '') throw bad('has no text in `question`')
  if (typeof title !== 'string') throw bad(`has ${typeof title} as its title; expected text`)
  if (typeof freeText !== 'boolean')
    throw bad(`has ${typeof freeText} as its freeText; expected true or false`)
  if (!freeText && options === undefined)
    throw bad('has neither options nor freeText, so nothing could answer it')
  const timeoutMs = parseDuration(timeout)
  if (timeoutMs === undefined)
    throw bad(`has the timeout ${JSON.stringify(timeout)}; expected ${DURATION_FORMS}`)
  return {
    title: title.length > TITLE_CHARS_MAX ? `${title.slice(0, TITLE_CHARS_MAX - 1)}…` : title,
    question,
    options: options === undefined ? undefined : optionsOf(options, bad),
    freeText,
    to,
    timeoutMs,
  }
}

function optionsOf(
  options: readonly AnswerOption[],
  bad: (fault: string) => StepMisuse,
): CheckedQuestion['options'] {
  if (!Array.isArray(options) || options.length === 0 || options.length > OPTIONS_MAX)
    throw bad(`needs 1 to ${OPTIONS_MAX} options; leave them out and any text is an answer`)
  const all = options.map((option: AnswerOption) => {
    const {
      value,
      label = value,
      selectedLabel = label,
    } = typeof option === 'string' ? { value: option } : option
    if ([value, label, selectedLabel].some((text) => typeof text !== 'string' || text === ''))
      throw bad(`has an option that is no text: ${JSON.stringify(option)}; expected text or { value, label }`)
    return { value, label, selectedLabel }
  })
  const twice = all.find(({ value }, at) => all.findIndex((other) => other.value === value) !== at)
  if (twice) throw bad(`has the option ${inQuotes(twice.value)} twice`)
  return all
}

function answerOf({ value }: RecordedWait): Answer | null {
  if (value === null) return null
  const { answeredAt, ...answer } = JSON.parse(value) as Omit<Answer, 'answeredAt'> & {
    readonly answeredAt: string
  }
  return { ...answer, answeredAt: new Date(answeredAt) }
}
