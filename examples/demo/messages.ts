// The messages of the demo, and the site of its links. The deliveries are real payloads of GitHub for each of
// its events: the examples that the package @octokit/webhooks-examples ships.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import type { NewMessage } from 'nanoclaw-functions/host'

export interface Planned {
  readonly message: NewMessage
  /** The number of replies. 0: it must fail. */
  readonly replies: number
  /** Label under which its replies are printed. */
  readonly label?: string
  /** Part of the burst. */
  readonly burst?: true
}

interface GitHubEvent {
  readonly name: string
  readonly examples: readonly {
    readonly repository?: { readonly full_name: string }
    readonly organization?: { readonly login: string }
  }[]
}

const SHOWN = new Set(['issues', 'push', 'pull_request', 'issue_comment', 'check_run', 'release', 'star'])

/**
 * As a host would enqueue them: the repository, which orders them, in `platformId`; event and body in the
 * content.
 */
export function deliveries(): Planned[] {
  const events: readonly GitHubEvent[] = createRequire(import.meta.url)('@octokit/webhooks-examples')
  return events.flatMap(({ name, examples }) =>
    examples.map((payload, index) => ({
      replies: 1,
      ...(SHOWN.has(name) && index === 0 && { label: name }),
      message: {
        // A host would take X-GitHub-Delivery: a repeated delivery has the same one, and stays one message.
        id: `${name}.${index + 1}`,
        kind: 'webhook',
        channelType: 'github',
        platformId: payload.repository?.full_name ?? payload.organization?.login ?? 'github',
        content: { event: name, payload },
      },
    })),
  )
}

/** Other cases: two replies, a scheduled message, retries, order across retries, a failure. */
export function conversation(siteUrl: string): Planned[] {
  return [
    link('thread-1', `${siteUrl}/busy`),
    chat('thread-1', 'second in line, so I wait for that page'),
    { ...link('thread-2', `${siteUrl}/gone`), replies: 0 },
    { ...chat('thread-3', 'help'), replies: 2 },
    chat('thread-3', '6 * 7'),
    ...(['1s', '2s', '3s'] as const).map((wait) => chat('thread-4', `written ${wait} ago`, wait)),
  ]
}

/** A burst of calculations in many threads; the answers of each thread are in order. */
export function burst(people: number, each: number): Planned[] {
  return Array.from({ length: people * each }, (_, index) => {
    const { message } = chat(`person-${index % people}`, `${index} + 1`)
    return { message, replies: 1, burst: true }
  })
}

export function chat(threadId: string, text: string, processAfter?: NewMessage['processAfter']): Planned {
  return planned({ kind: 'chat', threadId, content: { text }, ...(processAfter && { processAfter }) })
}

function link(threadId: string, url: string): Planned {
  return planned({ kind: 'link', threadId, content: { url } })
}

function planned(message: NewMessage): Planned {
  return { message: { channelType: 'demo', ...message }, replies: 1, label: message.kind }
}

export interface Site {
  readonly url: string
  close(): void
}

/** /busy rejects its first two requests; other paths return 404. */
export async function openSite(): Promise<Site> {
  let visitors = 0
  const server = createServer(({ url }, response) => {
    const status = url !== '/busy' ? 404 : ++visitors > 2 ? 200 : 503
    response.writeHead(status, { 'content-type': 'text/html', 'retry-after': '1', connection: 'close' })
    response.end('<title>A page that was busy at first</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() }
}
