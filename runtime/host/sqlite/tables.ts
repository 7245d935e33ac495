// This host's own tables in inbound.db, beside those of the protocol. Programs that do not know them are not
// affected.

/**
 * Indexes: unfinished messages are found without reading history; a partial index costs nothing for other
 * rows. Tables: the delivery queue, the position up to which outbound.db has been read into it, and the time
 * zone of each series whose recurrence names none: a column of messages_in would be lost with the first
 * occurrence that another host makes. `due_at` null: given up, kept for its error. Not STRICT: an SQLite
 * older than 3.37 could not open a file that has such a table.
 */
export const HOST_OWN_TABLES = `
create index if not exists nanoclaw_live on messages_in (status) where status = 'pending' or status = 'paused';
create index if not exists nanoclaw_recurring on messages_in (recurrence) where recurrence is not null;
create table if not exists nanoclaw_outgoing (
  position integer primary key,
  message_out_id text not null unique,
  lane text not null,
  due_at integer,
  attempts integer not null default 0,
  error text
);
create index if not exists nanoclaw_outgoing_lane on nanoclaw_outgoing (lane, position) where due_at is not null;
create table if not exists nanoclaw_taken (
  id integer primary key check (id = 1),
  message_out_id text not null
);
create table if not exists nanoclaw_series (
  series_id text primary key,
  time_zone text not null
);
create index if not exists nanoclaw_dead on delivered (status) where status = 'failed';
create index if not exists nanoclaw_outgoing_due on nanoclaw_outgoing (due_at) where due_at is not null;
`

/** Every object of the newest schema. */
export const SCHEMA_OBJECTS: readonly string[] = [
  'messages_in',
  'idx_messages_in_series',
  'delivered',
  'destinations',
  'session_routing',
  'nanoclaw_live',
  'nanoclaw_recurring',
  'nanoclaw_outgoing',
  'nanoclaw_outgoing_lane',
  'nanoclaw_outgoing_due',
  'nanoclaw_taken',
  'nanoclaw_series',
  'nanoclaw_dead',
]
