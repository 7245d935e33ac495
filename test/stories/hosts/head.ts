// The host of the newest known revision. It stops a container by two rules (an old heartbeat, a silent
// claim), sets messages back and deletes the claims of what it stopped, keeps series going, lets a session
// write only where it may, gives up after three tries, carries files both ways, asks questions and answers
// commands.
import { lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type Database from 'better-sqlite3'
import { HEAD_INBOUND } from '../../support/shapes.ts'
import { type Container, type Incoming, type Outgoing, type Swept, UpstreamHost } from './upstream.ts'

const CEILING_MS = 30 * 60_000
const CLAIM_TOLERANCE_MS = 60_000
const DELIVERY_TRIES = 3
/** What the narrowest platform takes. */
const BUTTON_BYTES = 64

export interface Address {
  readonly channel_type: string
  readonly platform_id: string
  readonly thread_id: string | null
}

export class HeadHost extends UpstreamHost {
  protected readonly dueSql =
    `SELECT COUNT(*) FROM messages_in WHERE status = 'pending' AND trigger = 1 AND (process_after IS NULL OR datetime(process_after) <= ?)`
  readonly #chat: Address
  readonly #questions = new Map<string, Outgoing>()
  /** Names of the files that went out, by reply. */
  readonly files: Record<string, string[]> = {}

  /** @param chat the conversation that this session belongs to */
  constructor(dir: string, container: Container, chat: Address) {
    super(dir, container, HEAD_INBOUND)
    this.#chat = chat
  }

  async sweep(): Promise<Swept> {
    this.copyAcks()
    const woken = this.dueCount() > 0 && !this.container.running
    if (woken) await this.wake()
    const killed = this.container.running ? this.#stuck() : null
    const reset: string[] = []
    if (killed) {
      await this.container.stop()
      for (const { message_id } of this.claims()) reset.push(message_id)
    } else if (!this.container.running)
      for (const { message_id } of this.claims()) if (!this.#waitsAlready(message_id)) reset.push(message_id)
    for (const id of reset) this.setBack(id)
    if (!this.container.running && this.claims().length > 0) this.dropClaims()
    this.#recur()
    return { woken, killed, reset }
  }

  /** Writes what the container reads at its start, forgets the old heartbeat, starts it. */
  async wake(): Promise<void> {
    const { channel_type, platform_id, thread_id } = this.#chat
    this.inbound((db) =>
      db.transaction(() => {
        db.exec('DELETE FROM destinations')
        db.prepare(
          `INSERT INTO destinations (name, display_name, type, channel_type, platform_id) VALUES ('here', 'Here', 'channel', ?, ?)`,
        ).run(channel_type, platform_id)
        db.prepare(
          'INSERT OR REPLACE INTO session_routing (id, channel_type, platform_id, thread_id) VALUES (1, ?, ?, ?)',
        ).run(channel_type, platform_id, thread_id)
      })(),
    )
    this.forgetHeartbeat()
    await this.container.start()
  }

  /** Ids of questions that were sent and are not answered. */
  get asked(): readonly string[] {
    return [...this.#questions.keys()]
  }

  /**
   * A button of a question is pressed: the chat bridge has joined id and option, and reads the id up to the
   * first colon. `newer`: as later hosts do it, which keep the question, so that a second click is a second
   * message.
   */
  click(questionId: string, option: string, newer = false): void {
    const data = `ncq:${questionId}:${option}`
    if (Buffer.byteLength(data) > BUTTON_BYTES) throw new Error(`a button cannot carry ${data}`)
    const [, id = '', ...rest] = data.split(':')
    const asked = this.#questions.get(id)
    if (!asked) return
    if (!newer) this.#questions.delete(id)
    this.insert({
      ...asked,
      id: `qr-${id}-${this.nowMs}`,
      kind: 'system',
      ...(newer && { trigger: 0 }),
      content: { type: 'question_response', questionId: id, selectedOption: rest.join(':'), userId: 'u' },
    })
  }

  /** Files come as base64 and are laid into the inbox; the content names them. */
  receive(
    message: Omit<Incoming, 'content'>,
    content: object,
    files: Readonly<Record<string, string>>,
  ): void {
    const folder = this.path(`inbox/${message.id}`)
    mkdirSync(folder, { recursive: true })
    const attachments = Object.entries(files).map(([name, base64]) => {
      writeFileSync(`${folder}/${name}`, Buffer.from(base64, 'base64'), { flag: 'wx' })
      return { name, localPath: `inbox/${message.id}/${name}` }
    })
    this.insert({ ...message, content: { ...content, attachments } })
  }

  /** null: nothing to say against the container that runs. */
  #stuck(): string | null {
    const declaredMs = this.#declaredMs()
    const beatMs = this.heartbeatMs()
    if (beatMs !== undefined && this.nowMs - beatMs > Math.max(CEILING_MS, declaredMs)) return 'ceiling'
    const silent = this.claims().some(({ status_changed }) => {
      // As some revisions did it: a time without a zone is read as local time.
      const claimedMs = Date.parse(status_changed)
      const ageMs = this.nowMs - claimedMs
      return ageMs > Math.max(CLAIM_TOLERANCE_MS, declaredMs) && (beatMs ?? 0) <= claimedMs
    })
    return silent ? 'claim' : null
  }

  /** How long the container has said that it may be busy; only for one tool. */
  #declaredMs(): number {
    try {
      const state = this.outbound((db) =>
        db.prepare('SELECT current_tool, tool_declared_timeout_ms FROM container_state WHERE id = 1').get(),
      ) as { current_tool: string | null; tool_declared_timeout_ms: number | null } | undefined
      return state?.current_tool === 'Bash' ? (state.tool_declared_timeout_ms ?? 0) : 0
    } catch {
      return 0
    }
  }

  #waitsAlready(id: string): boolean {
    return (this.status(id)?.process_after ?? '') > this.now
  }

  /**
   * The next occurrence counts from now, in the zone of this machine; daily expressions are all that is
   * needed here.
   */
  #recur(): void {
    this.inbound((db) => {
      const ended = db
        .prepare(
          `SELECT id, kind, content, recurrence, series_id, platform_id, channel_type, thread_id FROM messages_in WHERE status = 'completed' AND recurrence IS NOT NULL`,
        )
        .all() as (Incoming & { content: string; recurrence: string; series_id: string })[]
      for (const row of ended) {
        const [minute = 0, hour = 0] = row.recurrence.split(' ').map(Number)
        const next = new Date(this.nowMs)
        next.setHours(hour, minute, 0, 0)
        if (next.getTime() <= this.nowMs) next.setDate(next.getDate() + 1)
        const id = `task-${row.series_id}-${next.getTime()}`
        this.insert({ ...row, id, content: JSON.parse(row.content), process_after: next.toISOString() })
        db.prepare('UPDATE messages_in SET series_id = ? WHERE id = ?').run(row.series_id, id)
        db.prepare('UPDATE messages_in SET recurrence = NULL WHERE id = ?').run(row.id)
      }
    })
  }

  protected insertRow(db: Database.Database, row: Incoming, seq: number): void {
    db.prepare(
      `INSERT INTO messages_in (id, seq, kind, timestamp, status, platform_id, channel_type, thread_id, content, process_after, recurrence, series_id, trigger, source_session_id, on_wake)
       VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)`,
    ).run(
      row.id,
      seq,
      row.kind,
      row.timestamp ?? new Date(this.nowMs).toISOString(),
      row.platform_id ?? null,
      row.channel_type ?? null,
      row.thread_id ?? null,
      JSON.stringify(row.content),
      row.process_after ?? null,
      row.recurrence ?? null,
      row.id,
      row.trigger ?? 1,
      row.on_wake ?? 0,
    )
  }

  protected handOver(row: Outgoing): void {
    const { channel_type, platform_id } = row
    // Nowhere to go: it is said in a log, and counts as delivered.
    if (!channel_type || !platform_id) return
    const listed = this.inbound((db) =>
      db
        .prepare('SELECT 1 FROM destinations WHERE channel_type = ? AND platform_id = ?')
        .get(channel_type, platform_id),
    )
    const own = channel_type === this.#chat.channel_type && platform_id === this.#chat.platform_id
    if (!own && !listed) throw new Error(`not allowed to write to ${channel_type} ${platform_id}`)
    const content = JSON.parse(row.content)
    if (content.type === 'ask_question' && content.title && content.options)
      this.#questions.set(content.questionId, row)
    if (content.files) this.#takeFiles(row.id, content.files)
  }

  #takeFiles(id: string, names: readonly string[]): void {
    const plain = /^(?!\.\.?$)[^/\\\0]+$/
    if (!plain.test(id)) return
    const there = (name: string) =>
      plain.test(name) && lstatSync(this.path(`outbox/${id}/${name}`), { throwIfNoEntry: false })?.isFile()
    this.files[id] = names.filter(there)
    rmSync(this.path(`outbox/${id}`), { recursive: true, force: true })
  }

  protected carryOut(action: Record<string, any>): void {
    const task = `WHERE (id = @id OR series_id = @id) AND kind = 'task'`
    const set = (sql: string, values = {}) =>
      this.inbound((db) => db.prepare(sql).run({ id: action.taskId, ...values }))
    switch (action.action) {
      case 'schedule_task':
        this.schedule(action)
        break
      case 'cancel_task':
        set(
          `UPDATE messages_in SET status = 'completed', recurrence = NULL ${task} AND status IN ('pending', 'paused')`,
        )
        break
      case 'pause_task':
        set(`UPDATE messages_in SET status = 'paused' ${task} AND status = 'pending'`)
        break
      case 'resume_task':
        set(`UPDATE messages_in SET status = 'pending' ${task} AND status = 'paused'`)
        break
      case 'update_task':
        set(
          `UPDATE messages_in SET content = json_set(content, '$.prompt', @prompt) ${task} AND status IN ('pending', 'paused')`,
          { prompt: action.prompt },
        )
        break
      case 'cli_request':
        this.insert({
          id: `cli-resp-${action.requestId}`,
          kind: 'system',
          trigger: 0,
          content: {
            type: 'cli_response',
            requestId: action.requestId,
            frame: { id: action.requestId, ok: true, data: action.command },
          },
        })
        break
    }
  }

  protected noteDelivered(id: string, now: string): void {
    this.#note(id, 'delivered', now)
  }

  protected notSent(id: string, attempts: number): void {
    if (attempts >= DELIVERY_TRIES) this.#note(id, 'failed', this.now)
  }

  #note(id: string, status: string, now: string): void {
    this.inbound((db) =>
      db
        .prepare(
          'INSERT OR IGNORE INTO delivered (message_out_id, platform_message_id, status, delivered_at) VALUES (?, NULL, ?, ?)',
        )
        .run(id, status, now),
    )
  }
}
