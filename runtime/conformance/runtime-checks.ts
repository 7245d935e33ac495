// The checks of a running runtime, by the name of the rule in docs/protocol.md.
import { type Check, check } from './check.ts'

export const RUNTIME_CHECKS = {
  answers: check(
    'a message is answered',
    'Acks',
    'The command must serve the given folder, and answer each message of the kind that is sent.',
  ),
  'late-file': check(
    'it waits for a host that comes later',
    'inbound.db',
    'A missing inbound.db is not an error: stay up and poll.',
  ),
  'time-forms': check(
    'past times are due, in every form',
    'Times',
    'Parse both forms, without a zone as UTC, and compare instants: T sorts above the space.',
  ),
  later: check(
    'messages due later run when due',
    'Times',
    'Hold it until process_after; without a zone that is UTC.',
  ),
  'bad-time': check(
    'an invalid time ends as failed',
    'Times',
    'Ack it as failed at once: without an ack the host never reports it.',
  ),
  burst: check(
    '30 messages, no sync by the host',
    'Acks',
    'Leave out what has an ack before a limit is applied, not after.',
  ),
  order: check(
    'a conversation keeps its order',
    'Order',
    'One after the other by seq where channel_type, platform_id and thread_id are the same.',
  ),
  context: check(
    'context rows do not block other messages',
    'inbound.db',
    'Rows with trigger 0 behind one with trigger 1 must not use up its place.',
  ),
  'never-alone': check(
    'context rows are never run alone',
    'inbound.db',
    'A row with trigger 0 gets no reply of its own; ack it, or hand it on with the next message.',
  ),
  pause: check(
    'a paused message waits until resumed',
    'inbound.db',
    'Read the status again right before the claim.',
  ),
  ids: check(
    'ids come back as they were',
    'inbound.db',
    'An id is any text: bind it, never build SQL or paths with it unchecked.',
  ),
  'one-commit': check('ack and replies appear together', 'Acks', 'Write both in one transaction.'),
  heartbeat: check(
    'the heartbeat is there and fresh',
    'Signs of life',
    'Touch it after each claim, and every few seconds by a timer while anything runs.',
  ),
  second: check(
    'a second runtime on the folder gives way',
    'Signs of life',
    'Hold a lock that the kernel releases; exit with 75 when another process holds it.',
  ),
  untouched: check(
    'inbound.db keeps its bytes',
    'Both files',
    'Open it read-only; never write, recover, or create files beside it.',
  ),
  stays: check(
    'it stays up 2 s after its last reply',
    'Signs of life',
    'Hosts read replies of a stopped runtime only once a minute.',
  ),
  stop: check(
    'it stops on SIGTERM and leaves no claim',
    'Signs of life',
    'End within 10 s; finish what runs or remove its claim.',
  ),
  kill: check(
    'killed while running: one reply each',
    'Crashes',
    'Claims on disk before the work, replies and ack in one commit, reply ids made from the message.',
  ),
  'hot-journal': check(
    'waits for a host that died in its commit',
    'Crashes',
    'SQLITE_READONLY_ROLLBACK means "not readable yet": stay up and poll, do not open it for writing.',
  ),
  locked: check(
    'waits for a lock on inbound.db',
    'Both files',
    'SQLITE_BUSY is not an error: stay up and poll.',
  ),
} as const satisfies Record<string, Check>
