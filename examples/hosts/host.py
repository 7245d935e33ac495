#!/usr/bin/env python3
"""A host in Python, standard library only. host.py DIR TEXT... sends each text as a chat message, prints each reply
once, marks what has ended. The rules that it keeps to stand in docs/protocol.md."""
import contextlib, datetime, json, os, sqlite3, sys, time, uuid

SCHEMA = """
create table if not exists messages_in (id text primary key, seq integer unique, kind text not null,
  timestamp text not null, status text default 'pending', process_after text, recurrence text, series_id text,
  tries integer default 0, trigger integer not null default 1, platform_id text, channel_type text, thread_id text,
  content text not null, source_session_id text, on_wake integer not null default 0);
create table if not exists delivered (message_out_id text primary key, platform_message_id text,
  status text not null default 'delivered', delivered_at text not null);
"""

def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")

@contextlib.contextmanager
def inbound(folder):
    """Opened, written in one transaction, closed: on a mount between machines closing is what the other side sees."""
    with contextlib.closing(sqlite3.connect(f"{folder}/inbound.db", timeout=5, isolation_level=None)) as db:
        db.execute("begin immediate")
        yield db
        db.execute("commit")

def send(folder, text, thread="python"):
    with inbound(folder) as db:
        last = db.execute("select coalesce(max(seq), 0) from messages_in").fetchone()[0]
        row = (f"py-{uuid.uuid4()}", last // 2 * 2 + 2, "chat", now(), thread, json.dumps({"text": text}))
        names = "id, seq, kind, timestamp, thread_id, content"
        db.execute(f"insert into messages_in ({names}) values (?, ?, ?, ?, ?, ?)", row)

def ended(folder, ids):
    """Ack and replies of each message that has ended. Nothing while outbound.db is locked, not there yet, or waits for
    its runtime, which died in mid-commit: it is asked again, and never opened for writing."""
    sql = """select a.message_id, a.status, o.id, o.content from json_each(?) m
      join processing_ack a on a.message_id = m.value left join messages_out o on o.in_reply_to = a.message_id
      where a.status <> 'processing' order by o.seq"""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder}/outbound.db?mode=ro", uri=True, timeout=1)) as db:
            return db.execute(sql, (json.dumps(ids),)).fetchall()
    except sqlite3.OperationalError:
        return []

def main(folder, *texts):
    os.makedirs(folder, exist_ok=True)
    with contextlib.closing(sqlite3.connect(f"{folder}/inbound.db", timeout=5)) as db:
        db.executescript(SCHEMA)
    for text in texts:
        send(folder, text)
    while True:
        with inbound(folder) as db:
            ids = [id for (id,) in db.execute("select id from messages_in where status = 'pending' order by seq")]
        if not ids:
            return
        rows = ended(folder, ids)
        for _, _, reply, content in rows:
            with inbound(folder) as db:
                if reply and not db.execute("select 1 from delivered where message_out_id = ?", (reply,)).fetchone():
                    # After a crash before the commit it is printed again: better twice than never.
                    print(content, flush=True)
                    db.execute("insert into delivered (message_out_id, delivered_at) values (?, ?)", (reply, now()))
        with inbound(folder) as db:
            marks = [(status, id) for id, status, _, _ in rows]
            db.executemany("update messages_in set status = ? where id = ? and status = 'pending'", marks)
        time.sleep(0.1)

main(*sys.argv[1:])
