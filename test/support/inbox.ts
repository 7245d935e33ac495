// An inbox on a fresh file, and the walk over it that a session makes.
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Cursor } from '../../runtime/protocol/cursor.ts'
import { Inbox, type PendingMessage, START } from '../../runtime/store/sqlite/inbox.ts'
import { type Db, tempDir } from './files.ts'

export function inboxOf(make: (path: string) => Db): { inbox: Inbox; db: Db } {
  const db = make(join(tempDir(), 'inbound.db'))
  const inbox = new Inbox(db.name)
  onTestFinished(() => inbox.close())
  return { inbox, db }
}

/** Walks to the end, as a session does. */
export function walk(inbox: Inbox, limit: number, from: Cursor = START) {
  const pages: { rows: readonly PendingMessage[]; before: Cursor; after: Cursor }[] = []
  for (let cursor = from, end = false; !end; ) {
    const page = inbox.getPendingMessages(cursor, limit, false)
    pages.push({ rows: page.rows, before: cursor, after: page.cursor })
    cursor = page.cursor
    end = page.end
    if (pages.length > 1_000) throw new Error('the walk does not come to an end')
  }
  return { pages, ids: pages.flatMap(({ rows }) => rows.map(({ id }) => id)), cursor: pages.at(-1)!.after }
}
