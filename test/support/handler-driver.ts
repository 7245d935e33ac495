// Runs a handler to its end over as many runs as it needs, with the child's own HandlerRun and a journal in
// memory: what a runtime does between two runs, without a process and without time.

import { HandlerRun } from '../../runtime/child/run.ts'
import { StepBodies } from '../../runtime/child/steps.ts'
import type { Handler, HandlerMessage } from '../../runtime/protocol/handler.ts'
import type { Dispatch, Result } from '../../runtime/protocol/ipc.ts'
import type { Step } from '../../runtime/protocol/steps.ts'
import type { RecordedWait } from '../../runtime/protocol/waits.ts'

export interface Driven {
  /** Contents, in the order in which they went out. */
  readonly replies: unknown[]
  readonly results: Result[]
  readonly steps: Step[]
  readonly waits: (RecordedWait & { readonly questionId: string | undefined })[]
}

export interface DriveOptions {
  /** Ends one of the open waits, so that the message runs again. */
  readonly wake?: (open: readonly RecordedWait[]) => { readonly name: string; readonly answer?: string }
  readonly message?: Partial<HandlerMessage>
  /** This run ends before it says anything: a crash. */
  readonly isCut?: (run: number) => boolean
  readonly runsMax?: number
}

const ADDRESS = { channelType: 'chat', platformId: 'p', threadId: null }

export async function drive(handler: Handler, options: DriveOptions = {}): Promise<Driven> {
  const driven: Driven = { replies: [], results: [], steps: [], waits: [] }
  const {
    wake = ([first]) => ({ name: first!.name, answer: 'yes' }),
    isCut = () => false,
    runsMax = 50,
  } = options
  for (let run = 1; run <= runsMax; run++) {
    const result = await runOnce(handler, run, driven, options.message)
    driven.results.push(result)
    if (isCut(run)) continue
    if (result.end !== 'replied' && result.end !== 'suspended') return driven
    driven.replies.push(...result.replies.map(({ content }) => JSON.parse(content)))
    if (result.end === 'replied') return driven
    const replies = (result.from ?? 0) + result.replies.length
    for (const { name, kind, said, isAlone, question } of result.waits)
      driven.waits.push({
        name,
        kind,
        run,
        said,
        isAlone,
        state: 'open',
        value: null,
        replies,
        questionId: question?.id,
      })
    const { name, answer } = wake(driven.waits.filter(({ state }) => state === 'open'))
    const at = driven.waits.findIndex((wait) => wait.name === name)
    const value =
      answer === undefined
        ? null
        : JSON.stringify({ value: answer, userId: null, answeredAt: '2026-01-01T00:00:00.000Z' })
    const state = driven.waits[at]!.kind === 'ask' && answer === undefined ? 'timeout' : 'done'
    driven.waits[at] = { ...driven.waits[at]!, state, value }
  }
  throw new Error(`no end after ${runsMax} runs`)
}

async function runOnce(
  handler: Handler,
  n: number,
  { steps, waits }: Driven,
  message: Partial<HandlerMessage> = {},
): Promise<Result> {
  const fields = {
    ...{
      id: 'm-1',
      seq: 2,
      kind: 'chat',
      timestamp: '',
      status: 'pending',
      processAfter: null,
      recurrence: null,
    },
    ...{ seriesId: null, tries: 0, trigger: true, sourceSessionId: null, onWake: false, ...ADDRESS },
  }
  const whole = { ...fields, content: {}, ...message } as HandlerMessage
  const journal = {
    origin: whole.id,
    version: steps.length + waits.length > 0 ? 1 : null,
    steps: [...steps],
    waits: [...waits],
  }
  const dispatch: Dispatch = {
    n,
    lane: '',
    attempt: 1,
    alone: false,
    timeoutMs: 60_000,
    scope: 'test',
    journal,
    message: { ...fields, content: '' },
  }
  const run: HandlerRun = new HandlerRun(dispatch, whole, {
    setup: { functionName: 'f', parent: 0, watchParent: false, maxReplyBytes: 1e6, maxLogBytes: 1e6 },
    bodies: new StepBodies(),
    version: 1,
    // Other things happen in the process of the tests.
    resources: Number.POSITIVE_INFINITY,
    send: (report) => {
      if (report.type !== 'step') return
      const { name, state, value } = report
      steps.push({ name, state, value })
      setImmediate(() => run.kept(name))
    },
  })
  return run.run(handler)
}
