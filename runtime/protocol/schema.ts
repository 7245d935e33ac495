// The tables of the two files as SQL text.
//
// inbound.db   written by the host alone, read by the runtime. The host's column set grew over time;
//              HOST_TABLES is the newest one, and the runtime reads older files too (a missing column means
//              its default).
// outbound.db  written by the runtime alone, read by the host. WIRE_TABLES and STATE_TABLES are the part that
//              hosts know; OWN_TABLES is what the runtime must remember besides, in tables that a host never
//              looks at.

interface Column {
  /** As the newest known host makes it. */
  readonly definition: string
  /** What a row means in a file that lacks the column, as SQL; left out: the runtime needs the column. */
  readonly missing?: string
  /** The first hosts did not make it, so that an older file gains it. */
  readonly isLater?: true
  /** What the rows of an older file get, as SQL; left out: what the definition says. */
  readonly backfill?: string
}

/** Every column of messages_in, here alone: tables, upgrades, inserts, reads and checks follow from it. */
export const MESSAGES_IN = {
  id: { definition: 'text primary key' },
  seq: { definition: 'integer unique', missing: 'null' },
  kind: { definition: 'text not null' },
  timestamp: { definition: 'text not null' },
  status: { definition: "text default 'pending'", missing: "'pending'" },
  process_after: { definition: 'text', missing: 'null' },
  recurrence: { definition: 'text', missing: 'null' },
  series_id: { definition: 'text', missing: 'null', isLater: true, backfill: 'id' },
  tries: { definition: 'integer default 0', missing: '0' },
  trigger: { definition: 'integer not null default 1', missing: '1', isLater: true },
  platform_id: { definition: 'text', missing: 'null' },
  channel_type: { definition: 'text', missing: 'null' },
  thread_id: { definition: 'text', missing: 'null' },
  content: { definition: 'text not null' },
  source_session_id: { definition: 'text', missing: 'null', isLater: true },
  on_wake: { definition: 'integer not null default 0', missing: '0', isLater: true },
} as const satisfies Readonly<Record<string, Column>>

export type MessageColumn = keyof typeof MESSAGES_IN

/** In the order of the table. */
export const MESSAGE_COLUMNS = Object.keys(MESSAGES_IN) as MessageColumn[]

/** A column of messages_in in a query on a file that has these. */
export function messageColumn(present: ReadonlySet<string>, name: MessageColumn): string {
  const { missing }: Column = MESSAGES_IN[name]
  return present.has(name) ? name : (missing ?? name)
}

const DELIVERED = {
  message_out_id: { definition: 'text primary key' },
  platform_message_id: { definition: 'text', isLater: true },
  status: { definition: "text not null default 'delivered'", isLater: true },
  delivered_at: { definition: 'text not null' },
} as const satisfies Readonly<Record<string, Column>>

/** The tables of inbound.db that have grown. */
export const GROWN_TABLES: Readonly<Record<string, Readonly<Record<string, Column>>>> = {
  messages_in: MESSAGES_IN,
  delivered: DELIVERED,
}

/** inbound.db, as the newest known host creates it. */
export const HOST_TABLES = `
${Object.entries(GROWN_TABLES).map(createTable).join('')}
create index if not exists idx_messages_in_series on messages_in (series_id);
create table if not exists destinations (
  name text primary key,
  display_name text,
  type text not null,
  channel_type text,
  platform_id text,
  agent_group_id text
);
create table if not exists session_routing (
  id integer primary key check (id = 1),
  channel_type text,
  platform_id text,
  thread_id text
);
`

/** outbound.db, the part that every host reads. */
export const WIRE_TABLES = `
create table if not exists messages_out (
  id text primary key,
  seq integer unique,
  in_reply_to text,
  timestamp text not null,
  deliver_after text,
  recurrence text,
  kind text not null,
  platform_id text,
  channel_type text,
  thread_id text,
  content text not null
);
create table if not exists processing_ack (
  message_id text primary key,
  status text not null,
  status_changed text not null
);
`

/**
 * outbound.db, further tables of the runner that later hosts read. `container_state`: one row that declares a
 * run longer than the hosts' own limit; they accept it for one tool name only. `session_state` is for runners
 * that keep a conversation.
 */
export const STATE_TABLES = `
create table if not exists container_state (
  id integer primary key check (id = 1),
  current_tool text,
  tool_declared_timeout_ms integer,
  tool_started_at text,
  updated_at text not null
);
create table if not exists session_state (
  key text primary key,
  value text not null,
  updated_at text not null
);
`
export const LONG_TOOL = 'Bash'

/**
 * Raised when OWN_TABLES changes shape. An older file is migrated at opening (store/sqlite/migrations.ts), a
 * newer one is rejected.
 */
export const OWN_VERSION = 4

/**
 * outbound.db, the runtime's own memory.
 *   nanoclaw_runtime  one row. `epoch` rises by one at each start and is checked in every commit: a runtime
 *                     that finds another number has been replaced and writes no more. `checkpoint_seq`: every
 *                     message with a seq up to it is finished, or listed in nanoclaw_unfinished, or has a
 *                     `next_at`, so a start need not read history. `checkpoint_id`: of the row with that seq;
 *                     a file that has another row there is read from its beginning. `scope`: random, made
 *                     with the file: no other workspace has it.
 *   nanoclaw_unfinished  messages up to the checkpoint that are not finished: due later, ready, without a
 *                     function; also each that had a `next_at` and was claimed since.
 *   nanoclaw_batch    what was given to a process together, while any of it runs; `runs`: JSON, a [message
 *                     id, run, attempt] for each. One of them that has no row in nanoclaw_run is running, or
 *                     the runtime died. `alone`: nothing else ran in that process when this began. If nothing
 *                     came behind it either, the process's death is this message's.
 *   nanoclaw_run      one row a run that has ended; never changed but for `next_at`. `run` counts all,
 *                     `attempt` only those charged to the handler. `started_at`: when it was claimed.
 *                     `next_at`: when the following attempt is due, on the newest row of a message only.
 *   nanoclaw_step     what a message has done by name and does not do again (`kind` step), or waits for by
 *                     name (sleep, ask). `state` of a step: done, failed; of a wait: open, done, timeout,
 *                     closed (its message has ended). `value`: JSON of the result, the error or the answer.
 *                     `version`: of the function. Of a wait: `wake_at`, when it ends by itself; `replies`,
 *                     how many of the message were on record with it; `said`, JSON list of hashes of those
 *                     that went out with it; `alone`: no other was open; `by_message`, the message that
 *                     answered. Of a question: `choices`, JSON list of the values that may be given, null for
 *                     any text; `address`, the conversation whose next chat message answers it, if its seq is
 *                     above `after_seq`. `kind` origin, with the name '': the message goes on with the work
 *                     of another one, named in `value`.
 *   nanoclaw_waiting  one row for each message between two runs because of a wait. `wake_at`: the earliest of
 *                     its open waits. `ready`: one of them has ended. `holds`: nothing of its ordering key
 *                     runs meanwhile.
 * Times are milliseconds since 1970.
 */
export const OWN_TABLES = `
create table if not exists nanoclaw_runtime (
  id integer primary key check (id = 1),
  version integer not null,
  epoch integer not null,
  checkpoint_seq integer not null,
  checkpoint_id text,
  scope text not null
);
create table if not exists nanoclaw_unfinished (
  message_id text primary key
) without rowid;
create table if not exists nanoclaw_batch (
  batch integer primary key,
  function text not null,
  worker integer not null,
  alone integer not null,
  started_at integer not null,
  runs text not null
);
create table if not exists nanoclaw_run (
  message_id text not null,
  run integer not null,
  attempt integer not null,
  epoch integer not null,
  function text not null,
  worker integer,
  alone integer not null,
  started_at integer not null,
  ended_at integer not null,
  duration_ms real,
  outcome text not null,
  reason text,
  error text,
  next_at integer,
  primary key (message_id, run)
) without rowid;
create table if not exists nanoclaw_step (
  message_id text not null,
  name text not null,
  kind text not null,
  state text not null,
  value text,
  function text not null,
  version integer not null,
  run integer not null,
  at integer not null,
  duration_ms real,
  question_id text,
  choices text,
  address text,
  after_seq integer,
  wake_at integer,
  replies integer,
  said text,
  alone integer,
  by_message text,
  primary key (message_id, name)
) without rowid;
create unique index if not exists nanoclaw_step_question on nanoclaw_step (question_id) where question_id is not null;
create index if not exists nanoclaw_step_address on nanoclaw_step (address, at) where state = 'open' and address is not null;
create table if not exists nanoclaw_waiting (
  message_id text primary key,
  since integer not null,
  wake_at integer not null,
  ready integer not null,
  holds integer not null
) without rowid;
create index if not exists nanoclaw_waiting_due on nanoclaw_waiting (wake_at, message_id);
create index if not exists nanoclaw_waiting_ready on nanoclaw_waiting (message_id) where ready = 1;
create index if not exists nanoclaw_waiting_holds on nanoclaw_waiting (message_id) where holds = 1;
create index if not exists nanoclaw_run_waiting on nanoclaw_run (next_at) where next_at is not null;
`

/** Runs without an end: still running, or their runtime has died. */
export const RUNNING = `
  select json_extract(j.value, '$[0]') as message_id, json_extract(j.value, '$[1]') as run,
    json_extract(j.value, '$[2]') as attempt, b.function, b.worker, b.alone, b.started_at
  from nanoclaw_batch b, json_each(b.runs) j
  where not exists (
    select 1 from nanoclaw_run r
    where r.message_id = json_extract(j.value, '$[0]') and r.run = json_extract(j.value, '$[1]')
  )`

function createTable([table, columns]: readonly [string, Readonly<Record<string, Column>>]): string {
  const lines = Object.entries(columns).map(([name, { definition }]) => `  ${name} ${definition}`)
  return `create table if not exists ${table} (\n${lines.join(',\n')}\n);\n`
}
