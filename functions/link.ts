// Fetches a page and answers with its title. Shows what a function needs that depends on others: a time limit, retries,
// and errors that say whether another attempt makes sense.
import { defineFunction, NonRetryableError, RetryAfterError } from 'nanoclaw-functions'

interface Link {
  readonly url: string
}

export default defineFunction<Link>({
  timeout: '10s',
  retry: { attempts: 5, minDelay: '500ms', maxDelay: '1m' },
  async handler({ content: { url } }, ctx) {
    // The signal aborts when the time is up or the runtime stops: pass it to everything that waits.
    const response = await fetch(url, { signal: ctx.signal })
    if (response.status === 429 || response.status === 503)
      throw new RetryAfterError(`${url} is busy`, retryAfterMs(response))
    if (response.status >= 500) throw new Error(`${url} answered ${response.status}`)
    if (!response.ok) throw new NonRetryableError(`${url} answered ${response.status}`)

    const title = /<title[^>]*>([^<]*)/i.exec(await response.text())?.[1]?.trim()
    return `${title || 'A page without a title'}, at attempt ${ctx.attempt}`
  },
})

/** The header counts seconds; without one, a second is polite. */
function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 1)
  return Number.isFinite(seconds) ? seconds * 1000 : 1000
}
