// The host of the first revision: no series, no context rows, no list of destinations. It judges by the
// heartbeat alone, and stops nothing; a reply that is not sent is tried each second for ever; recurrence
// never worked.
import type Database from 'better-sqlite3'
import { SEED_INBOUND } from '../../support/shapes.ts'
import { type Container, type Incoming, type Outgoing, type Swept, UpstreamHost } from './upstream.ts'

const STALE_MS = 10 * 60_000

export class SeedHost extends UpstreamHost {
  protected readonly dueSql =
    `SELECT COUNT(*) FROM messages_in WHERE status = 'pending' AND (process_after IS NULL OR process_after <= ?)`

  constructor(dir: string, container: Container) {
    super(dir, container, SEED_INBOUND)
  }

  async sweep(): Promise<Swept> {
    this.copyAcks()
    const woken = this.dueCount() > 0 && !this.container.running
    if (woken) await this.container.start()
    const ageMs = this.nowMs - (this.heartbeatMs() ?? Number.NEGATIVE_INFINITY)
    const reset = ageMs >= STALE_MS ? this.claims().map(({ message_id }) => message_id) : []
    for (const id of reset) this.setBack(id)
    return { woken, killed: null, reset }
  }

  protected insertRow(db: Database.Database, row: Incoming, seq: number): void {
    db.prepare(
      `INSERT INTO messages_in (id, seq, kind, timestamp, status, platform_id, channel_type, thread_id, content, process_after, recurrence)
       VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?)`,
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
    )
  }

  protected handOver(_row: Outgoing): void {}

  protected carryOut(action: Record<string, any>): void {
    const task = `WHERE id = ? AND kind = 'task'`
    const set = (sql: string) => this.inbound((db) => db.prepare(sql).run(action.taskId))
    switch (action.action) {
      case 'schedule_task':
        this.schedule(action)
        break
      case 'cancel_task':
        set(`UPDATE messages_in SET status = 'completed' ${task} AND status IN ('pending', 'paused')`)
        break
      case 'pause_task':
        set(`UPDATE messages_in SET status = 'paused' ${task} AND status = 'pending'`)
        break
      case 'resume_task':
        set(`UPDATE messages_in SET status = 'pending' ${task} AND status = 'paused'`)
        break
    }
  }

  protected noteDelivered(id: string, now: string): void {
    this.inbound((db) =>
      db.prepare('INSERT OR IGNORE INTO delivered (message_out_id, delivered_at) VALUES (?, ?)').run(id, now),
    )
  }

  protected notSent(): void {}
}
