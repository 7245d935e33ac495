// Fetches a page and answers with its title. Shows how to call another service: a time limit, retries, and
// errors that decide about a retry.
import { defineFunction, NonRetryableError, RetryAfterError } from 'nanoclaw-functions'

interface Link {
  readonly url: string
}

export default defineFunction<Link>({
  timeout: '10s',
  retry: { attempts: 5, minDelay: '500ms', maxDelay: '1m' },
  async handler({ content: { url } }, ctx) {
    // The signal aborts at the timeout or when the runtime stops: pass it to every wait.
    const response = await fetch(url, { signal: ctx.signal })
    if (response.status === 429 || response.status === 503)
      throw new RetryAfterError(`${url} is busy`, retryAfterMs(response))
    if (response.status >= 500) throw new Error(`${url} answered ${response.status}`)
    if (!response.ok) throw new NonRetryableError(`${url} answered ${response.status}`)

    const title = /<title[^>]*>([^<]*)/i.exec(await response.text())?.[1]?.trim()
    return `${title || 'A page without a title'}, at attempt ${ctx.attempt}`
  },
})

/** The header is in seconds; default 1 s. */
function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 1)
  return Number.isFinite(seconds) ? seconds * 1000 : 1000
}
