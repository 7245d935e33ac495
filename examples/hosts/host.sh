#!/bin/sh
# A host in plain shell. host.sh DIR TEXT... sends each text as a chat message, prints each reply once, marks what has
# ended. The rules that it keeps to stand in docs/protocol.md.
set -eu
dir=$1; shift
inbound() { sqlite3 -batch -cmd '.timeout 5000' "$dir/inbound.db" "$1"; }
# Locked, not there yet, or its runtime died in mid-commit: no rows now, and it is asked again. Never opened for writing.
outbound() { sqlite3 -batch -readonly -separator ' ' -cmd '.timeout 999' "$dir/outbound.db" "$1" 2>/dev/null || true; }

mkdir -p "$dir"
inbound "create table if not exists messages_in (id text primary key, seq integer unique, kind text not null,
      timestamp text not null, status text default 'pending', process_after text, recurrence text, series_id text,
      tries integer default 0, trigger integer not null default 1, platform_id text, channel_type text, thread_id text,
      content text not null, source_session_id text, on_wake integer not null default 0);
    create table if not exists delivered (message_out_id text primary key, platform_message_id text,
      status text not null default 'delivered', delivered_at text not null);"

for text in "$@"; do # the next even number above all, taken and used in one transaction
  inbound "insert into messages_in (id, seq, kind, timestamp, thread_id, content)
      select 'sh-' || lower(hex(randomblob(8))), coalesce(max(seq), 0) / 2 * 2 + 2, 'chat', datetime('now'), 'shell',
        json_object('text', '$(printf %s "$text" | sed "s/'/''/g")') from messages_in;"
done

while ids=$(inbound "select hex(id) from messages_in where status = 'pending' order by seq") && [ -n "$ids" ]; do
  for id in $ids; do # ack and replies come in one commit, and are read in one statement
    rows=$(outbound "select a.status, hex(o.id), replace(o.content, char(10), ' ') from processing_ack a
      left join messages_out o on o.in_reply_to = a.message_id
      where a.message_id = cast(x'$id' as text) and a.status <> 'processing' order by o.seq")
    printf '%s\n' "$rows" | while read -r _ reply content; do
      [ -n "$reply" ] || continue
      [ -z "$(inbound "select 1 from delivered where message_out_id = cast(x'$reply' as text)")" ] || continue
      printf '%s\n' "$content" # after a crash in between it is printed again: better twice than never
      inbound "insert into delivered (message_out_id, delivered_at) values (cast(x'$reply' as text), datetime('now'))"
    done
    [ -z "$rows" ] || inbound "update messages_in set status = '${rows%% *}'
      where id = cast(x'$id' as text) and status = 'pending'"
  done
  sleep 0.1
done
