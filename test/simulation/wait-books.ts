// The part of the books that is about waits: what a message has done and waits for by name, who is woken by
// what, and what becomes of an answer. Kept from what goes in and out of the store, and compared with what
// stands in it.
import type {
  AnswerResult,
  Claim,
  CommitBatch,
  CommitResult,
  RunResult,
} from '../../runtime/protocol/commit-batch.ts'
import type { Journal } from '../../runtime/protocol/steps.ts'
import { addressKey } from '../../runtime/protocol/waits.ts'
import type { Disk } from './disk.ts'
import { isOver, type KnownWait, type Told } from './messages.ts'
import { OPTIONS } from './scripts.ts'

interface Parts {
  readonly disk: Disk
  readonly told: (id: string) => Told
  readonly fail: (text: string) => never
}

type Waiting = RunResult['next'] & { readonly type: 'waiting' }

const INSTANT_MAX_MS = 8.64e15

/** A batch that is on disk and was not answered, and what the answer was. */
export interface UnansweredBatch {
  readonly batch: CommitBatch
  readonly answer: CommitResult
}

export class WaitBooks {
  readonly #parts: Parts
  readonly #questions = new Map<string, KnownWait>()
  /** Questions of messages that have been forgotten. */
  readonly #forgotten = new Set<string>()
  /** Messages whose waits, or whose steps, are others since they were compared. */
  readonly #touched = new Set<Told>()
  /** What the claims of the last commit have on record. */
  #journals = new Map<string, string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** All that a host has seen asked. */
  get questions(): readonly KnownWait[] {
    return [...this.#questions.values()]
  }

  isAnyoneWaiting(messages: Iterable<Told>): boolean {
    return [...messages].some(({ suspended }) => suspended)
  }

  isKnown(questionId: string): boolean {
    return this.#questions.has(questionId)
  }

  /** Those that the next chat message of this conversation answers. */
  openAt(address: string): KnownWait[] {
    return this.questions.filter((each) => each.state === 'open' && each.address === address)
  }

  inserted(told: Told): void {
    if (told.kind === 'chat') told.mayAnswer = this.openAt(placeOf(told))
  }

  /** The body of a step is called, or its process hears that its result is on disk. */
  step(told: Told, name: string, what: 'begins' | 'kept'): void {
    if (told.steps.has(name) === (what === 'begins'))
      this.#parts.fail(`${told.id}: ${name} ${what}; on disk there is [${[...told.steps.keys()]}]`)
  }

  steps({ steps }: CommitBatch): void {
    for (const { id, run, name, value } of steps) {
      const told = this.#parts.told(id)
      if (told.run?.run !== run || told.steps.has(name)) continue
      told.steps.set(name, value)
      this.#touched.add(told)
    }
  }

  suspend(told: Told, { run, next }: RunResult, batch: CommitBatch, { waiting }: CommitResult): void {
    const { waits, holds, from = 0, replies } = next as Waiting
    for (const { name, kind, until, question, said, isAlone } of waits) {
      if (told.waits.has(name)) this.#parts.fail(`${told.id} waits for ${name} a second time`)
      const endMs = 'forMs' in until ? batch.nowMs + until.forMs : until.atMs
      const wait: KnownWait = {
        messageId: told.id,
        name,
        kind,
        wakeAtMs: Math.min(Math.ceil(endMs), INSTANT_MAX_MS),
        run,
        replies: from + replies.length,
        said,
        isAlone,
        questionId: question?.id ?? null,
        values: question?.values ?? null,
        address: question?.address ?? null,
        afterSeq: batch.inboundSeq,
        state: 'open',
        value: null,
      }
      told.waits.set(name, wait)
      if (wait.questionId !== null) this.#questions.set(wait.questionId, wait)
    }
    const open = [...told.waits.values()].filter(({ state }) => state === 'open')
    const wakeAtMs = open.length > 0 ? Math.min(...open.map((each) => each.wakeAtMs)) : batch.nowMs
    const ready = told.isAnswered
    told.suspended = { wakeAtMs, ready, holds, isSetBack: false }
    told.overtaken ||= !holds
    // It leaves memory, and has just run without the end of its process.
    if (told.suspect === 'yes') told.suspect = 'perhaps'
    this.#touched.add(told)
    const says = waiting.get(told.id)
    if (says !== (ready ? batch.nowMs : wakeAtMs))
      this.#parts.fail(`${told.id} is said to wake at ${says}; its waits end at ${wakeAtMs}, ready: ${ready}`)
  }

  /** `before`: of a batch that was written and not answered, which repeats its answers. */
  answers(batch: CommitBatch, { answered, unused }: CommitResult, before?: UnansweredBatch): void {
    const asText = batch.answers.flatMap((each) => (each.otherwise === 'unused' ? each.questionId : []))
    if (new Set(asText).size < asText.length) this.#parts.fail(`one question has two answers: [${asText}]`)
    const repeated = new Set(before?.batch.answers.map(({ id }) => id))
    const fresh = batch.answers.filter(({ id }) => !repeated.has(id))
    const woken = fresh.flatMap((answer) => this.#answer(answer, unused) ?? [])
    woken.push(...(before?.answer.answered ?? []))
    if (woken.sort().join() !== [...answered].sort().join())
      this.#parts.fail(`the answers wake [${answered}], and must wake [${woken}]`)
  }

  withdraw({ withdrawn }: CommitBatch): void {
    for (const id of withdrawn) {
      const told = this.#parts.told(id)
      if (!told.suspended) {
        this.ended(told)
        continue
      }
      if ((told.status === 'pending' || told.status === 'paused') && !told.renumbered)
        this.#parts.fail(`${id} is ended while it waits, and for its host it is ${told.status}`)
      told.suspended = undefined
      this.ended(told)
    }
  }

  claimed(told: Told, { run }: Claim, nowMs: number, { journals }: CommitResult): void {
    const { suspended } = told
    if (suspended) {
      const { ready, wakeAtMs, isSetBack } = suspended
      if (!ready && !isSetBack && wakeAtMs > nowMs)
        this.#parts.fail(`${told.id} runs ${wakeAtMs - nowMs} ms before any of its waits has ended`)
      for (const wait of told.waits.values())
        if (wait.state === 'open' && wait.wakeAtMs <= nowMs)
          wait.state = wait.kind === 'sleep' ? 'done' : 'timeout'
    }
    told.suspended = undefined
    told.isAnswered = false
    this.#touched.add(told)
    this.#mayRun(told, run)
    const must = told.steps.size + told.waits.size > 0 ? textOf(journalOf(told)) : 'nothing'
    const is = textOf(journals.get(told.id))
    if (must !== is) this.#parts.fail(`${told.id} starts with ${is} on record, and must with ${must}`)
    this.#journals.set(told.id, must)
  }

  /** What its run is given. */
  dispatched(told: Told, journal: Journal | undefined): void {
    const [must, is] = [this.#journals.get(told.id) ?? 'nothing', textOf(journal)]
    if (must !== is) this.#parts.fail(`${told.id} is given ${is}, and must be given ${must}`)
  }

  /** What it waits for has no meaning any more. */
  ended(told: Told): void {
    for (const wait of told.waits.values()) if (wait.state === 'open') wait.state = 'closed'
    this.#touched.add(told)
  }

  forgotten(told: Told): void {
    for (const { questionId } of told.waits.values())
      if (questionId !== null && this.#questions.delete(questionId)) this.#forgotten.add(questionId)
    told.steps.clear()
    told.waits.clear()
  }

  /** A new runtime begins. */
  recovered(messages: Iterable<Told>): void {
    for (const told of messages) {
      told.isAnswered = false
      if (isOver(told)) this.ended(told)
    }
  }

  jumps(messages: Iterable<Told>, ms: number): void {
    if (ms < 0) for (const { suspended } of messages) if (suspended) suspended.isSetBack = true
  }

  /** What the host has ended, and still waits though its time has come. */
  inVain(messages: Iterable<Told>, nowMs: number): Told[] {
    return [...messages].filter(({ suspended, status }) => {
      const isOver = status === 'completed' || status === 'deleted'
      return isOver && suspended && (suspended.ready || suspended.wakeAtMs <= nowMs)
    })
  }

  /** What this commit has changed is on disk. */
  checkTouched(): void {
    for (const told of this.#touched) this.#compare(told)
    this.#touched.clear()
  }

  checkAll(messages: Iterable<Told>): void {
    const waiting = new Set(this.#parts.disk.waiting())
    for (const told of messages) {
      this.#compare(told)
      if (isOver(told) && told.suspended) this.#parts.fail(`${told.id} is ${told.ack}, and waits`)
      waiting.delete(told.id)
    }
    if (waiting.size > 0) this.#parts.fail(`messages wait that never did: ${[...waiting]}`)
  }

  #compare(told: Told): void {
    const { disk, fail } = this.#parts
    const { suspended } = told
    const must = suspended
      ? `${suspended.wakeAtMs} ready: ${suspended.ready} holds: ${suspended.holds}`
      : 'not'
    const is = disk.suspended(told.id) ?? 'not'
    if (is !== must) fail(`${told.id} must be suspended ${must}, on disk it is ${is}`)
    const states = [
      ...[...told.steps].map(([name, value]) => `${name} done ${value}`),
      ...[...told.waits.values()].map(({ name, state, value }) => `${name} ${state} ${value}`),
    ]
    const [known, found] = [states.sort().join('; '), [...disk.named(told.id)].sort().join('; ')]
    if (known !== found) fail(`${told.id} must have on record [${known}], on disk there is [${found}]`)
  }

  /** Its message came when a question was open for it, and the question still is. */
  #mayRun(told: Told, run: number): void {
    const open = told.mayAnswer.find(
      ({ state, afterSeq }) => state === 'open' && (told.seq === null || told.seq > afterSeq),
    )
    if (open && run === 1 && !told.renumbered && textIn(told) !== undefined)
      this.#parts.fail(`${told.id} runs, and is the answer to ${open.questionId}`)
  }

  /** Returns whom it wakes. */
  #answer(
    { id, questionId, value, otherwise }: AnswerResult,
    unused: ReadonlySet<string>,
  ): string | undefined {
    const { told: toldOf, fail } = this.#parts
    const told = toldOf(id)
    const wait = this.#questions.get(questionId)
    // It may have been forgotten since this was read.
    if (!wait && !this.#forgotten.has(questionId)) fail(`${id} answers ${questionId}, which was never asked`)
    const isOpen = wait?.state === 'open'
    const isUnused = otherwise === 'unused' && !isOpen
    if (isUnused !== unused.has(id)) fail(`${id} answers ${wait?.state} ${questionId}, unused: ${!isUnused}`)
    if (isUnused) told.overtaken = true
    if (isUnused || told.ack !== 'none') return undefined
    if (wait) this.#mustFit(told, wait, value)
    told.ack = 'completed'
    if (!isOpen || value === null) return undefined
    wait.state = 'done'
    wait.value = value
    const target = toldOf(wait.messageId)
    if (target.suspended) target.suspended.ready = true
    else target.isAnswered = true
    this.#touched.add(target)
    return target.id
  }

  #mustFit(told: Told, { questionId, values, address, afterSeq }: KnownWait, value: string | null): void {
    const { fail } = this.#parts
    const { selectedOption, questionId: named } = JSON.parse(told.content) as Record<
      string,
      string | undefined
    >
    const isChat = told.kind === 'chat'
    const text = isChat ? textIn(told) : selectedOption
    const isLegal = isChat || values === null || values.includes(text!)
    const said = value === null ? null : (JSON.parse(value) as { readonly value: string }).value
    if (said !== (isLegal ? text : null))
      fail(`${told.id} says ${text}, and answers ${questionId} with ${value}`)
    if (!isChat && named !== questionId) fail(`${told.id} is for ${named}, and answers ${questionId}`)
    if (isChat && (told.charged > 0 || told.interrupted) && !told.renumbered)
      fail(`${told.id} has run, and answers ${questionId}`)
    if (isChat && (placeOf(told) !== address || (told.seq !== null && told.seq <= afterSeq) || told.context))
      fail(`${told.id} (seq ${told.seq}) is no answer to ${questionId}, which was asked after ${afterSeq}`)
  }
}

/** Something that is offered, or not, by this question. */
export function optionOf({ values }: KnownWait, n: number): string {
  return values === null ? `text ${n}` : OPTIONS[n % OPTIONS.length]!
}

function placeOf({ address }: Told): string {
  return addressKey({ channelType: address && 'chat', platformId: address, threadId: null })
}

function textIn({ content }: Told): string | undefined {
  if (content === 'no json') return undefined
  return (JSON.parse(content) as { readonly text?: string }).text
}

function journalOf({ id, steps, waits }: Told): Journal {
  const version = 1
  return {
    origin: id,
    version,
    steps: [...steps].map(([name, value]) => ({ name, state: 'done', value })),
    waits: [...waits.values()].map(({ name, kind, state, value, replies, run, said, isAlone }) => ({
      ...{ name, kind, state, value },
      ...{ replies, run, said, isAlone },
    })),
  }
}

/** To be compared: in no order of its own. */
function textOf(journal: Journal | undefined): string {
  if (!journal) return 'nothing'
  const steps = journal.steps.map(({ name, state, value }) => `${name} ${state} ${value}`)
  const waits = journal.waits.map(({ name, kind, state, value, replies, run, said, isAlone }) =>
    [name, kind, state, value, replies, run, said, isAlone].join(' '),
  )
  return [journal.origin, journal.version, ...steps.sort(), ...waits.sort()].join('; ')
}
