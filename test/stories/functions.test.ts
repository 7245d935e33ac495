// The functions that come with the repository, run as their users would see them: every delivery that
// GitHub's own examples have goes through a real runtime and real processes.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { deliveries, openSite, type Planned } from '../../examples/demo/messages.ts'
import { sharedBench, type Workbench } from '../support/runtime.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SUMMARY_CHARS_MAX = 200

const shared = sharedBench([], { root: ROOT, functions: join(ROOT, 'functions') })
const all = deliveries()

describe('a delivery from GitHub', () => {
  const takenBy = new Map<string, string>()
  let first: Summary[] = []

  beforeAll(async () => {
    const bench = shared()
    bench.events.on('runs-ended', (runs) => runs.forEach((run) => takenBy.set(run.id, run.functionName)))
    first = await summarize(bench, 'first', all)
  })

  it('is answered with exactly one summary, for any event', () => {
    expect(all.length).toBeGreaterThan(300)
    expect(first.filter(({ ack, texts }) => ack !== 'completed' || texts.length !== 1)).toEqual([])
  })

  it('has a summary of one line that names the repository', () => {
    for (const { event, place, texts } of first) {
      const [text = ''] = texts
      expect(text, event).toMatch(/^\S+: \S.*\S$/)
      expect(text, event).not.toMatch(/undefined|null|\[object|NaN/)
      expect(text.length, event).toBeLessThan(SUMMARY_CHARS_MAX)
      if (place.includes('/')) expect(text, event).toContain(`${place}: `)
    }
  })

  it('has the same summary each time', async () => {
    const second = await summarize(shared(), 'second', all)
    expect(second.map(({ texts }) => texts)).toEqual(first.map(({ texts }) => texts))
  })

  it('is answered in the order of its repository, whichever function takes it', () => {
    const places = new Set(first.map(({ place }) => place))
    expect(places.size).toBeGreaterThan(10)
    for (const place of places) {
      const seqs = first.filter((summary) => summary.place === place).map(({ seq }) => seq)
      expect(seqs, place).toEqual(seqs.toSorted((a, b) => a - b))
    }
  })

  it('goes to the function with the most specific rule', () => {
    expect(takenBy.get('first push.1')).toBe('push')
    expect(takenBy.get('first pull_request.1')).toBe('pull-request')
    expect(takenBy.get('first pull_request_review_comment.1')).toBe('review')
    expect(takenBy.get('first issue_comment.1')).toBe('issues')
    expect(takenBy.get('first workflow_job.1')).toBe('checks')
    expect(takenBy.get('first fork.1')).toBe('github')
  })

  it('is readable text', () => {
    const told = TOLD.map((id) => first.find((summary) => summary.id === `first ${id}`)?.texts[0])
    expect(told).toMatchInlineSnapshot(`
      [
        "Codertocat/Hello-World: Codertocat pushed 1 commit to master: “Initial commit”",
        "Codertocat/Hello-World: Codertocat opened pull request #2 “Update the README with new information.”",
        "Codertocat/Hello-World: Codertocat commented on #2: “Maybe you should use more emoji on this line.”",
        "Codertocat/Hello-World: Codertocat labeled issue #1 “Spelling error in the README file” (bug)",
        "Codertocat/Hello-World: Codertocat commented on #1: “You are totally right! I'll get this fixed right away.”",
        "Codertocat/Hello-World: check run “Octocoders-linter”: FAILURE",
        "Codertocat/Hello-World: release published by Codertocat: “0.0.1”",
        "Codertocat/Hello-World: Octocoders forked it to Octocoders/Hello-World",
        "Codertocat/Hello-World: label deleted by Codertocat: “:bug: Bugfix”",
        "GitHub: security advisory published: “Moderate severity vulnerability that affects django”",
      ]
    `)
  })
})

const TOLD = [
  'push.5',
  'pull_request.1',
  'pull_request_review_comment.1',
  'issues.11',
  'issue_comment.1',
  'check_run.2',
  'release.1',
  'fork.1',
  'label.1',
  'security_advisory.1',
]

describe('chat', () => {
  it('calculates, helps with two replies, and repeats what it does not understand', async () => {
    const bench = shared()
    const texts = ['7 / 2', '1 / 0', 'help', 'what a day']
    const ids = texts.map((text) => bench.send('chat', { text }, { thread_id: 'ann' }))
    await bench.ended(...ids)
    expect(ids.map((id) => textsOf(bench, id))).toEqual([
      ['7 / 2 = 3.5'],
      ['Nobody can divide by zero.'],
      ['I can add, subtract, multiply and divide: 6 * 7', 'Everything else I repeat.'],
      ['You said: what a day'],
    ])
  })
})

describe('link', () => {
  it('retries a busy page until it has the title, and fails at once for a missing one', async () => {
    const site = await openSite()
    onTestFinished(() => site.close())
    const bench = shared()
    const busy = bench.send('link', { url: `${site.url}/busy` })
    const gone = bench.send('link', { url: `${site.url}/gone` })
    await bench.ended(busy, gone)
    expect(textsOf(bench, busy)).toEqual(['A page that was busy at first, at attempt 1'])
    expect([bench.ack(gone), bench.runs(gone).length]).toEqual(['failed', 1])
  })
})

interface Summary {
  readonly id: string
  readonly event: string
  readonly place: string
  readonly ack: string | undefined
  readonly texts: readonly string[]
  readonly seq: number
}

/** Sends all of them in one commit, as `<round> <id>`, and waits for the answers. */
async function summarize(bench: Workbench, round: string, planned: readonly Planned[]): Promise<Summary[]> {
  const send = bench.inbound.transaction(() =>
    planned.map(({ message }) =>
      bench.send(message.kind, message.content, {
        id: `${round} ${message.id}`,
        channel_type: message.channelType ?? null,
        platform_id: message.platformId ?? null,
      }),
    ),
  )
  const ids = send()
  for (const id of ids) await bench.ended(id)
  return ids.map((id, index) => ({
    id,
    event: planned[index]!.message.id ?? '',
    place: planned[index]!.message.platformId ?? '',
    ack: bench.ack(id),
    texts: textsOf(bench, id),
    seq: bench.replies(id)[0]?.seq ?? 0,
  }))
}

function textsOf(bench: Workbench, id: string): string[] {
  return bench.replies(id).map(({ content }) => content.text)
}
