// The checks of the two files, by the name of the rule in docs/protocol.md.
import { type Check, check } from './check.ts'

export const FILE_CHECKS = {
  'in-file': check(
    'inbound.db can be read',
    'inbound.db',
    'The host creates it; after a crash, its next write rolls the journal back.',
  ),
  'in-tables': check(
    'it has messages_in with its columns',
    'inbound.db',
    'Create the table as documented; id, kind, timestamp and content are required.',
  ),
  'in-journal': check(
    'it keeps a rollback journal',
    'Both files',
    'pragma journal_mode = delete, once, while no other process has it open.',
  ),
  'in-pages': check('its pages are whole', 'Crashes', 'Restore a backup; nothing here repairs it.'),
  'in-ids': check('messages have ids: text, each once', 'inbound.db', 'Give each message a text of its own.'),
  'in-seq': check(
    'messages have even numbers, each once',
    'Numbers',
    'The next even number above the highest in messages_in, taken and used in one transaction.',
  ),
  'in-status': check(
    'statuses are those of a host',
    'inbound.db',
    'pending, paused, completed or failed; a runtime never takes a row with another status.',
  ),
  'in-times': check(
    'times of messages can be read',
    'Times',
    'ISO 8601, or YYYY-MM-DD HH:MM:SS in UTC; anything else ends a message as failed.',
  ),
  'in-content': check(
    'contents of messages are JSON',
    'Content',
    'Write JSON text; for plain text {"text": …}.',
  ),

  'out-file': check(
    'outbound.db can be read',
    'outbound.db',
    'The runtime creates it; after a crash, its next start rolls the journal back. Never open it for writing.',
  ),
  'out-tables': check(
    'it has processing_ack and messages_out',
    'outbound.db',
    'Create both tables as documented when they are missing.',
  ),
  'out-journal': check(
    'it keeps a rollback journal',
    'Both files',
    'journal_mode = delete; WAL only where both sides share one kernel.',
  ),
  'out-pages': check('its pages are whole', 'Crashes', 'Restore a backup; nothing here repairs it.'),
  'ack-once': check('a message has one ack at most', 'Acks', 'message_id is the primary key.'),
  'ack-states': check(
    'acks say processing, completed or failed',
    'Acks',
    'Hosts know these three; a message that waits for a retry has no row.',
  ),
  'ack-times': check('times of acks can be read', 'Times', 'Write ISO 8601 with Z.'),
  'reply-ids': check(
    'replies have ids: text, each once',
    'Replies',
    'id is the primary key; never reuse one.',
  ),
  'reply-folders': check(
    'ids of replies are plain names of folders',
    'Replies',
    'No slash, no NUL, not . or .., at most 255 bytes: hosts take an id as the folder of its files.',
  ),
  'question-ids': check(
    'ids of questions fit a button',
    'Content',
    'questionId: text of at most 35 bytes without a colon; bridges read it up to the first one.',
  ),
  'reply-seq': check(
    'replies have odd numbers, each once',
    'Numbers',
    'The next odd number above every seq of both files.',
  ),
  'reply-times': check(
    'times of replies can be read',
    'Times',
    "SQLite's form, UTC, in timestamp and deliver_after: hosts compare them as text.",
  ),
  'reply-content': check(
    'contents of replies are JSON',
    'Content',
    'Write JSON text; for plain text {"text": …}.',
  ),
  'reply-ended': check(
    'answered messages are acked as completed',
    'Acks',
    'Commit replies and ack in one transaction; a message that failed has no replies but those from before a wait.',
  ),
  'reply-routing': check(
    'replies have an address where messages had',
    'Replies',
    'Copy platform_id, channel_type and thread_id from the message.',
  ),
  'no-stale-claim': check(
    'no claim without a runtime',
    'Acks',
    'Start the runtime: its next start removes claims of a dead one.',
  ),
} as const satisfies Record<string, Check>
