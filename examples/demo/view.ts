// The output of the demo: permanent lines, and one progress line below them that is redrawn. Without a
// terminal (a file, CI) the progress line is printed every two seconds instead.
import { styleText } from 'node:util'
import type { Ledger } from './ledger.ts'

const LABEL_CHARS = 14
const BAR_CELLS = 20
const FAULTS_MAX = 10

export class View {
  readonly #ledger: Ledger
  readonly #live = process.stdout.isTTY && !process.env.CI
  readonly #redrawMs = this.#live ? 0 : 2_000
  readonly #width = Math.min(process.stdout.columns ?? 80, 100)
  #part = { total: 1, startMs: 0, messages: 0, acks: 0, replies: 0 }
  #drawnMs = 0

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** Starts a part: later counts belong to it. */
  begin(title: string, total: number): void {
    const { messages, acks, replies } = this.#ledger
    this.#part = { total, startMs: performance.now(), messages, acks, replies }
    this.#drawnMs = performance.now()
    this.say(`\n  ${styleText('bold', title)}`)
  }

  progress(): void {
    const isDue = performance.now() - this.#drawnMs >= this.#redrawMs
    const hasMore = this.#ledger.acks < this.#part.acks + this.#part.total
    if (isDue && hasMore) this.#draw(this.#live ? '' : '\n')
  }

  /** Makes the progress line permanent. */
  finish(): void {
    this.#draw('\n')
  }

  /** A reply, cut to the width of the terminal. */
  sample(label: string, text: string): void {
    const room = this.#width - LABEL_CHARS - 3
    const line = text.length > room ? `${text.slice(0, room - 1)}…` : text
    this.say(`  ${styleText('cyan', label.slice(0, LABEL_CHARS - 1).padEnd(LABEL_CHARS))}${line}`)
  }

  table(rows: readonly (readonly [label: string, figure: string, remark: string])[]): void {
    this.say('')
    for (const [label, figure, remark] of rows)
      this.say(
        `  ${label.padEnd(LABEL_CHARS)}${styleText('bold', figure.padStart(9))}${styleText('dim', `   ${remark}`)}`,
      )
  }

  verdict(faults: readonly string[]): void {
    if (faults.length === 0)
      return this.say(`\n  ${styleText('green', '✓ Every message ended as expected.')}\n`)
    this.say(`\n  ${styleText('red', '✗ Not as expected:')}`)
    for (const fault of faults.slice(0, FAULTS_MAX)) this.say(`    ${fault}`)
    this.say(faults.length > FAULTS_MAX ? `    … and ${faults.length - FAULTS_MAX} more\n` : '')
  }

  say(text: string): void {
    this.#write(text, '\n')
  }

  #draw(end: '' | '\n'): void {
    this.#drawnMs = performance.now()
    const { total, startMs, ...before } = this.#part
    const acked = this.#ledger.acks - before.acks
    const replies = this.#ledger.replies - before.replies
    const seconds = (this.#drawnMs - startMs) / 1000
    const rate = (replies / seconds).toFixed(replies < 10 * seconds ? 1 : 0)
    const full = Math.round((acked / total) * BAR_CELLS)
    const bar = styleText('green', '━'.repeat(full)) + styleText('dim', '─'.repeat(BAR_CELLS - full))
    const counts = `sent ${this.#ledger.messages - before.messages}  acked ${acked}  replies ${replies}`
    this.#write(`  ${bar}  ${counts}  ${rate}/s  ${seconds.toFixed(1)} s`, end)
  }

  #write(text: string, end: '' | '\n'): void {
    process.stdout.write(`${this.#live ? '\r\x1b[K' : ''}${text}${end}`)
  }
}
