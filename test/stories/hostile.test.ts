// Hostile rows of inbound.db, each with its one result. All rows are in one file, which one runtime reads;
// the values are written as SQL, because some of them cannot be written as text.
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { sharedBench, until } from '../support/runtime.ts'

/** Values as SQL; what is left out is as it should be. */
interface Row {
  readonly id?: string
  readonly seq?: string
  readonly kind?: string
  readonly content?: string
  readonly process_after?: string
}

/** `said`: the reply in the file. `waits`: no ack. */
type End = { readonly said: unknown } | { readonly failed: string } | 'waits'

type Case = readonly [what: string, row: Row, end: End]

const said = (content: unknown): End => ({ said: content })
const failed = (reason: string): End => ({ failed: reason })
const text = (value: string) => `'${value.replaceAll("'", "''")}'`
const bytes = (hex: string) => `cast(x'${hex}' as text)`

const TIMES: readonly Case[] = [
  ...['2020-01-01 00:00:00', '2020-01-01T00:00:00Z', '2020-01-01T00:00:00', '2020-01-01T02:00:00+02:00'],
  ...['2020-01-01', '2020-01-01 00:00', '2020-01-01T00:00:00.123456789Z', ''],
].map((time): Case => [`${time || 'empty'} is past`, { process_after: text(time) }, said({})])
const NO_TIMES: readonly Case[] = [
  ...['not-a-date', 'now', '1577836800', ' 2020-01-01 00:00:00', '2020-01-01 00:00:00 UTC', '2020-02-30'],
  ...['2020-13-01', '2020-01-01T24:00:00Z', '20200101T000000Z', '-5 minutes', '0', '%'],
].map((time): Case => [`${time} is no time`, { process_after: text(time) }, failed('bad_process_after')])
const ODD_TIMES: readonly Case[] = [
  ['a number is a text like another', { process_after: '1577836800' }, failed('bad_process_after')],
  ['bytes are no time', { process_after: "x'00ff'" }, failed('bad_process_after')],
  ['a century ahead', { process_after: "'2126-01-01T00:00:00Z'" }, 'waits'],
  ['the last second of all', { process_after: "'9999-12-31 23:59:59'" }, 'waits'],
]

const CONTENT: readonly Case[] = [
  ...['', ' ', 'no json', '{"a":1', "{'a':1}", '{"a":1}}', 'NaN', 'undefined', '\ufeff{}'].map(
    (json): Case => [`${JSON.stringify(json)} is not JSON`, { content: text(json) }, failed('bad_json')],
  ),
  ['bytes are not JSON', { content: "x'00ff'" }, failed('bad_json')],
  ['the raw text goes to who wants it', { kind: "'raw'", content: "'no json'" }, said('no json')],
  ['null', { content: "'null'" }, said(null)],
  ['a text', { content: `'"text"'` }, said('text')],
  ['a list', { content: "'[1,[2]]'" }, said([1, [2]])],
  ['a key twice: the last one counts', { content: `'{"a":1,"a":2}'` }, said({ a: 2 })],
  ['half a character, escaped', { content: String.raw`'"\ud83d"'` }, said('\ud83d')],
  ['line ends of another alphabet', { content: text('"\u2028\u2029"') }, said('\u2028\u2029')],
  ['zero bytes, escaped', { content: String.raw`'"\u0000"'` }, said('\0')],
  ['a text that is no UTF-8 in places', { content: bytes('22616222ff2262') }, failed('bad_json')],
  ['a text in it that is no UTF-8', { content: bytes('2261ff22') }, said('a\ufffd')],
  [
    'a key that is a prototype elsewhere',
    { content: `'{"__proto__":{"a":1},"constructor":2}'` },
    said(JSON.parse('{"__proto__":{"a":1},"constructor":2}')),
  ],
  [
    'a hundred thousand brackets, which JSON can read and not write',
    { content: `'${'['.repeat(100_000)}${']'.repeat(100_000)}'` },
    failed('unserialisable_reply'),
  ],
]

const IDS: readonly Case[] = [
  ...["o'brien", '%', '_', '', ' ', '.', '..', '../../x', '/etc/passwd', 'a/b', 'a\\b', 'CON', 'nul.txt'],
  ...['__proto__', 'constructor', '-rf', '😀', 'é', 'e\u0301', '[]', 'null', 'x'.repeat(300)],
  ...['x'.repeat(100_000), '1:0', 'a\nb', '\u202eabc'],
].map((id): Case => [JSON.stringify(id.slice(0, 40)), { id: text(id) }, said({})])
const ODD_IDS: readonly Case[] = [
  ['a zero byte in it', { id: bytes('610062') }, said({})],
  ['a number is a text like another', { id: '7' }, said({})],
  ['no UTF-8', { id: bytes('61ff') }, failed('')],
  ['no UTF-8 either, and another one', { id: bytes('61fe') }, failed('')],
  ['half a character', { id: bytes('eda082') }, failed('')],
  ['the sign that stands for what is no UTF-8', { id: text('a\ufffd') }, failed('')],
  ['bytes', { id: "x'0102'" }, failed('')],
  ['none at all', { id: 'null' }, 'waits'],
  ['none at all, once more', { id: 'null' }, 'waits'],
]

const NUMBERS: readonly Case[] = [
  ['none', { seq: 'null' }, said({})],
  ['text', { seq: "'abc'" }, said({})],
  ['bytes', { seq: "x'01'" }, said({})],
  ['2^52', { seq: '4503599627370496' }, said({})],
  ['2^53 - 1', { seq: '9007199254740991' }, said({})],
  ['2^53 + 1', { seq: '9007199254740993' }, said({})],
  ['2^63 - 1', { seq: '9223372036854775807' }, said({})],
  ['a half', { seq: '1.5' }, said({})],
  ['below zero', { seq: '-4' }, said({})],
  ['the lowest of all', { seq: '-9223372036854775808' }, said({})],
]

const KINDS: readonly Case[] = [
  ...['ECHO', 'echo ', ' echo', 'ech', 'echo-x', '', '%', 'constructor', '__proto__', '../echo'].map(
    (kind): Case => [`${JSON.stringify(kind)} is not echo`, { kind: text(kind) }, 'waits'],
  ),
  ['bytes that spell it', { kind: "x'6563686f'" }, said({})],
  ['no UTF-8', { kind: bytes('6563686fff') }, 'waits'],
  ['/clear is /clear', { kind: "'command'", content: `'{"text":"/clear"}'` }, said('cleared')],
  ...['/clearx', '/clear ', ' /clear', '/CLEAR', '/clear\u0000', ''].map(
    (command): Case => [
      `${JSON.stringify(command)} is not /clear`,
      { kind: "'command'", content: text(JSON.stringify({ text: command })) },
      'waits',
    ],
  ),
]

const TABLES: readonly (readonly [title: string, cases: readonly Case[]])[] = [
  ['process_after [80]', [...TIMES, ...NO_TIMES, ...ODD_TIMES]],
  ['content [81, 83]', CONTENT],
  ['an id [83, 84]', [...IDS, ...ODD_IDS]],
  ['a number [87]', NUMBERS],
  ['a rule is exact [W42]', KINDS],
]

const shared = sharedBench(
  [],
  {},
  {
    'echo.js': 'export default { key: null, handler: ({ content }) => ({ content }) }',
    'raw.js': 'export default { rawContent: true, handler: ({ rawContent }) => ({ content: rawContent }) }',
    'clear.js':
      'export default { on: { kind: "command", content: { text: "/clear" } }, handler: () => ({ content: "cleared" }) }',
  },
)

describe.each(TABLES)('%s', (_title, cases) => {
  const rowids: number[] = []

  it('each row ends in its own way, and no row blocks another', async () => {
    const { inbound } = shared()
    inbound.transaction(() => cases.forEach(([, row]) => rowids.push(insert(row))))()
    const ending = cases.flatMap(([, , end], n) => (end === 'waits' ? [] : [n]))
    await until(
      () => ending.every((n) => ackOf(rowids[n]!)),
      () => `no ack: ${ending.filter((n) => !ackOf(rowids[n]!)).map((n) => cases[n]![0])}`,
    )
  })

  it.each(cases.map(([what, , end], n) => [what, end, n] as const))('%s', (_what, end, n) => {
    const ack = ackOf(rowids[n]!)
    if (end === 'waits') expect(ack).toBeUndefined()
    else if ('said' in end) expect(ack).toEqual({ status: 'completed', reason: null, content: end.said })
    else if (end.failed === '') expect(ack).toMatchObject({ status: 'failed' })
    else expect(ack).toEqual({ status: 'failed', reason: end.failed, content: undefined })
  })
})

it('no file is created outside the workspace by an id [84]', () => {
  const { workspace } = shared().config
  expect(
    readdirSync(workspace).filter((name) => !name.startsWith('.') && !/^(in|out)bound\.db/.test(name)),
  ).toEqual([])
})

it('a duplicate number is rejected by the file itself [87]', () => {
  const { inbound } = shared()
  const insertTwo = inbound.prepare(
    `insert into messages_in (id, seq, kind, timestamp, content) values ('two', (select max(seq) from messages_in where typeof(seq) = 'integer'), 'echo', '', '{}')`,
  )
  expect(() => insertTwo.run()).toThrow(expect.objectContaining({ code: 'SQLITE_CONSTRAINT_UNIQUE' }))
})

function insert({ id, seq, kind = "'echo'", content = "'{}'", process_after = 'null' }: Row): number {
  const { inbound } = shared()
  const last = `(select coalesce(max(seq), 0) + 2 from messages_in where seq between 0 and 1000000)`
  const sql = `insert into messages_in (id, seq, kind, timestamp, content, process_after)
    values (${id ?? "'row-' || hex(randomblob(8))"}, ${seq ?? last}, ${kind}, '2026-11-24 06:02:20', ${content}, ${process_after})`
  return Number(inbound.prepare(sql).run().lastInsertRowid)
}

/** The result of a row, by the bytes of its id. */
function ackOf(rowid: number): { status: string; reason: string | null; content: unknown } | undefined {
  const { inbound, outbound } = shared()
  const id = inbound
    .prepare('select cast(id as blob), typeof(id) from messages_in where rowid = ?')
    .raw()
    .get(rowid) as [Buffer | null, string]
  const key = id[1] === 'blob' ? '?' : 'cast(? as text)'
  const ack = outbound
    .prepare(`select status from processing_ack where message_id = ${key}`)
    .pluck()
    .get(id[0]) as string | undefined
  if (ack === undefined || !/^(completed|failed)$/.test(ack)) return undefined
  const reason = outbound
    .prepare(`select reason from nanoclaw_run where message_id = ${key} order by run desc limit 1`)
    .pluck()
    .get(id[0]) as string | null | undefined
  const reply = outbound
    .prepare(`select content from messages_out where in_reply_to = ${key}`)
    .pluck()
    .get(id[0]) as string | undefined
  return { status: ack, reason: reason ?? null, content: reply && JSON.parse(reply).content }
}
