// ctx.log: lines of a handler about its message, bounded, and whatever their fields hold.
import { errorInfo } from '../protocol/errors.ts'
import type { Logger } from '../protocol/handler.ts'
import type { LogLevel, Report } from '../protocol/ipc.ts'

export class RunLog implements Logger {
  readonly #n: number
  readonly #maxBytes: number
  readonly #send: (report: Report) => void
  #bytes = 0

  constructor(n: number, maxBytes: number, send: (report: Report) => void) {
    this.#n = n
    this.#maxBytes = maxBytes
    this.#send = send
  }

  // Each may be called without its object.
  readonly debug = (text: string, fields?: Record<string, unknown>) => this.#log('debug', text, fields)
  readonly info = (text: string, fields?: Record<string, unknown>) => this.#log('info', text, fields)
  readonly warn = (text: string, fields?: Record<string, unknown>) => this.#log('warn', text, fields)
  readonly error = (text: string, fields?: Record<string, unknown>) => this.#log('error', text, fields)

  #log(level: LogLevel, text: string, fields?: Record<string, unknown>): void {
    const left = this.#maxBytes - this.#bytes
    if (left <= 0) return
    const said = safeFields(fields)
    const words = safeText(text)
    this.#bytes += Math.max(words.length + said.length, 1)
    const cut =
      this.#bytes > this.#maxBytes ? ' … (this message has logged its maxLogBytes; the rest is dropped)' : ''
    this.#send({
      type: 'log',
      n: this.#n,
      level,
      text: words.slice(0, left) + cut,
      fields: said === '' || cut ? undefined : JSON.parse(said),
    })
  }
}

function safeText(text: unknown): string {
  try {
    return String(text)
  } catch (error) {
    return `unreadable: ${errorInfo(error).message}`
  }
}

function safeFields(fields: Record<string, unknown> | undefined): string {
  if (fields === undefined) return ''
  try {
    return (
      JSON.stringify(fields, (_key, value) =>
        value instanceof Error ? errorInfo(value) : typeof value === 'bigint' ? String(value) : value,
      ) ?? ''
    )
  } catch (error) {
    return JSON.stringify({ unreadable: errorInfo(error).message })
  }
}
