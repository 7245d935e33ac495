// Walking over what waits in inbound.db: each pending row once and in order, at a cost that does not grow
// with the file.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { openHost } from 'nanoclaw-functions/host'
import { describe, expect, test } from 'vitest'
import { START } from '../../runtime/store/sqlite/inbox.ts'
import { type Db, headInbound, insertMessage, openDb, tempDir } from '../support/files.ts'
import { inboxOf, walk } from '../support/inbox.ts'

/** Makes the file in the newest shape, if no host has. */
function headInboundAt(dir: string): string {
  const path = join(dir, 'inbound.db')
  if (!existsSync(path)) headInbound(path)
  return path
}

describe('a walk', () => {
  const ROWS = 12_000
  /**
   * Gaps in the numbers; a long stretch of finished rows; here and there a row that waits, is paused or has
   * no number.
   */
  const FILL = `
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${ROWS})
    insert into messages_in (id, seq, kind, timestamp, status, content)
    select 'm-' || i, iif(i % 1000 = 7, null, i * 2 + (i / 100) * 50), 'chat', printf('2026-11-24 %05d', ${ROWS} - i),
      iif(i between 1500 and 9500 and i % 1000 <> 7, 'completed', iif(i % 10 = 3, 'paused', 'pending')), '{}'
    from n`
  const pending = (db: Db, where: string, order: string) =>
    db
      .prepare(`select id from messages_in where status = 'pending' and ${where} order by ${order}`)
      .pluck()
      .all()

  test.each([1_000, 500, 77])(
    'over 12,000 rows meets each pending one once and in order, %d at most at a time',
    (limit) => {
      const { inbox, db } = inboxOf(headInbound)
      db.exec(FILL)
      const { pages, ids, cursor } = walk(inbox, limit)
      const bare = new Set(pending(db, 'seq is null', 'rowid'))
      expect(bare.size).toBe(12)
      expect(ids.filter((id) => !bare.has(id))).toEqual(pending(db, 'seq is not null', 'seq'))
      expect(new Set(ids.filter((id) => bare.has(id)))).toEqual(bare)
      expect(ids).toHaveLength(new Set(ids).size)
      for (const { rows } of pages) expect(rows.length).toBeLessThanOrEqual(limit)

      const passed = db.prepare('select count(*) from messages_in where seq > ? and seq <= ?').pluck()
      for (const { before, after } of pages)
        expect(passed.get(before.seq, after.seq), 'rows passed over in one read').toBeLessThanOrEqual(5_001)
      expect(pages.length).toBeLessThanOrEqual(Math.ceil(ids.length / limit) + Math.ceil(ROWS / 5_000) + 1)

      expect(walk(inbox, limit, cursor).ids, 'from where it ended').toEqual([])
      insertMessage(db, { id: 'new' })
      insertMessage(db, { id: 'new, without a number', seq: null })
      expect(walk(inbox, limit, cursor).ids).toEqual(['new', 'new, without a number'])
    },
  )

  test('whatever the limit and the numbers, is over each pending row exactly once', () => {
    const { inbox, db } = inboxOf((path) => {
      const db = headInbound(path)
      db.exec('drop table messages_in')
      return db.exec(
        `create table messages_in (id text primary key, seq integer, kind text, timestamp text, status text, content text)`,
      )
    })
    // Numbers need not be unique.
    const rows = fc.array(
      fc.record({ seq: fc.option(fc.integer({ min: -20, max: 20 })), pending: fc.boolean() }),
      { maxLength: 30 },
    )
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 8 }), (drawn, limit) => {
        db.exec('begin; delete from messages_in')
        drawn.forEach(({ seq, pending }, n) => {
          insertMessage(db, { id: `m-${n}`, seq, status: pending ? 'pending' : 'completed', timestamp: '' })
        })
        db.exec('commit')
        const { ids, pages } = walk(inbox, limit)
        expect([...ids].sort()).toEqual(pending(db, 'true', 'id'))
        const numbered = pages.flatMap((page) => page.rows).flatMap(({ seq }) => seq ?? [])
        expect(numbered).toEqual([...numbered].sort((a, b) => a - b))
      }),
      { numRuns: 40 },
    )
  })

  test.each(['the newest hosts', 'our own host library'])(
    'in a file of %s costs the same per page, whatever else waits or has been [W6, 93]',
    (whose) => {
      const dir = tempDir()
      if (whose === 'our own host library') openHost(dir).close()
      const { inbox, db } = inboxOf(() => openDb(headInboundAt(dir)))
      const fill = (rows: number) =>
        db.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows})
          insert into messages_in (id, seq, kind, timestamp, status, content)
          select i, i * 2, 'chat', '', iif(i > ${rows / 2}, 'pending', 'completed'), '{}' from n`)
      const pageMs = (rows: number) => {
        db.exec('delete from messages_in')
        fill(rows)
        const from = { ...START, seq: rows }
        const ids = Array.from({ length: 10 }, (_, n) => String(rows - n))
        const times = Array.from({ length: 9 }, () => {
          const startMs = performance.now()
          expect(inbox.getPendingMessages(from, 10, false).rows).toHaveLength(10)
          expect(inbox.getPendingByIds(ids, false)).toHaveLength(10)
          return performance.now() - startMs
        })
        return Math.min(...times)
      }
      const [fewMs, manyMs] = [pageMs(2_000), pageMs(100_000)]
      expect(manyMs / fewMs, `${fewMs} ms, ${manyMs} ms`).toBeLessThan(6)
    },
  )

  test('costs the same per page where the numbers are too large to count, however many have been', () => {
    const { inbox, db } = inboxOf(headInbound)
    const pageMs = (rows: number) => {
      db.exec('delete from messages_in')
      db.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows})
        insert into messages_in (id, seq, kind, timestamp, status, content)
        select i, 1700000000000000000 + i, 'chat', '', iif(i > ${rows - 10}, 'pending', 'completed'), '{}' from n`)
      const from = { ...START, rowid: rows - 20 }
      const times = Array.from({ length: 9 }, () => {
        const startMs = performance.now()
        expect(inbox.getPendingMessages(from, 100, false).rows).toHaveLength(10)
        return performance.now() - startMs
      })
      return Math.min(...times)
    }
    const [fewMs, manyMs] = [pageMs(2_000), pageMs(100_000)]
    expect(manyMs / fewMs, `${fewMs} ms, ${manyMs} ms`).toBeLessThan(6)
  })

  test('of many rows that share a number costs the same per page, wherever it is', () => {
    const { inbox, db } = inboxOf((path) =>
      openDb(path).exec(
        'create table messages_in (id text primary key, seq integer, kind text, timestamp text, content text); create index s on messages_in (seq)',
      ),
    )
    db.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
      insert into messages_in select 'm-' || i, 0, 'chat', '', '{}' from n`)
    const pageMs = (seqRowid: number) => {
      const times = Array.from({ length: 9 }, () => {
        const startMs = performance.now()
        expect(inbox.getPendingMessages({ ...START, seq: 0, seqRowid }, 10, false).rows).toHaveLength(10)
        return performance.now() - startMs
      })
      return Math.min(...times)
    }
    const [firstMs, lastMs] = [pageMs(10), pageMs(99_900)]
    expect(lastMs / firstMs, `${firstMs} ms, ${lastMs} ms`).toBeLessThan(6)
  })

  test('rows without a number come after the numbered ones of their page, by time and then as they were written', () => {
    const { inbox, db } = inboxOf(headInbound)
    for (const [id, timestamp] of [
      ['late', '09:00'],
      ['early', '07:00'],
      ['early too', '07:00'],
      ['x', '08:00'],
    ])
      insertMessage(db, { id, timestamp, seq: null })
    insertMessage(db, { id: 'numbered', timestamp: '23:00' })
    expect(walk(inbox, 10).ids).toEqual(['numbered', 'early', 'early too', 'x', 'late'])
  })

  test('a number that is none hides no message: neither the others nor its own', () => {
    const { inbox, db } = inboxOf(headInbound)
    insertMessage(db, { id: 'a', seq: 2 })
    insertMessage(db, { id: 'text', seq: 'many' })
    insertMessage(db, { id: 'none', seq: null })
    insertMessage(db, { id: 'too large', seq: 2n ** 60n })
    insertMessage(db, { id: 'half', seq: 2.5 })
    insertMessage(db, { id: 'b', seq: 4 })
    for (const limit of [1, 2, 3, 10]) {
      const { ids } = walk(inbox, limit)
      expect(ids.toSorted()).toEqual(['a', 'b', 'half', 'none', 'text', 'too large'])
      const numbered = ids.filter((id) => id === 'a' || id === 'half' || id === 'b')
      expect(numbered).toEqual(['a', 'half', 'b'])
    }
    expect(inbox.maxSeq()).toBe(4)
  })

  test('sees what was committed, never what is being written', () => {
    const { inbox, db } = inboxOf(headInbound)
    insertMessage(db, { id: 'a' })
    db.exec('begin')
    insertMessage(db, { id: 'b' })
    expect(walk(inbox, 10).ids).toEqual(['a'])
    db.exec('commit')
    expect(walk(inbox, 10).ids).toEqual(['a', 'b'])
  })

  test('reads long content only when asked to, and no more than a megabyte of it', () => {
    const { inbox, db } = inboxOf(headInbound)
    const [long, large] = [1024, 1024 * 1024].map((chars) => JSON.stringify('x'.repeat(chars))) as [
      string,
      string,
    ]
    insertMessage(db, { id: 'small', content: '{"ü":1}' })
    insertMessage(db, { id: 'long', content: long })
    insertMessage(db, { id: 'large', content: large })
    const { rows } = inbox.getPendingMessages(START, 10, true)
    expect(rows.map(({ content, contentBytes }) => [content, contentBytes])).toEqual([
      ['{"ü":1}', 8],
      [long, long.length],
      [null, large.length],
    ])
    expect(inbox.getPendingByIds(['long'], true)[0]?.content).toBe(long)
    expect(inbox.getPendingByIds(['small', 'long'], false).map(({ content }) => content)).toEqual([
      '{"ü":1}',
      null,
    ])
    expect(inbox.getMessageIn('large')?.content).toBe(large)
  })
})
