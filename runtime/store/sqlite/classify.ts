// What a database error means for us, decided in one place. SQLite's codes come in families
// (SQLITE_IOERR_FSYNC belongs to SQLITE_IOERR); a family has one meaning unless a member is named here. What
// a user sees of each is in docs/operations.md.
import { NanoclawError } from '../../protocol/errors.ts'
import { denialOf, type Use } from './rights.ts'

/**
 * retry      another process holds the lock: again in a moment
 * wait       not readable yet, which only the other side can change: missing, empty, hot journal
 * hold       the disk takes no writes, or no file can be opened: results are kept, nothing is claimed
 * damaged    the bytes are wrong, or the disk reads wrongly: no message is charged, nothing is rewritten
 * misplaced  the file is not ours to write, or no longer the one at this path: an operator must repair it
 * bug        a mistake in this code: it ends with its cause
 */
export type Verdict = 'retry' | 'wait' | 'hold' | 'damaged' | 'misplaced' | 'bug'

/** The primary result codes that SQLite can raise from a statement. https://sqlite.org/rescode.html */
export const PRIMARY_CODES = [
  'SQLITE_ERROR',
  'SQLITE_INTERNAL',
  'SQLITE_PERM',
  'SQLITE_ABORT',
  'SQLITE_BUSY',
  'SQLITE_LOCKED',
  'SQLITE_NOMEM',
  'SQLITE_READONLY',
  'SQLITE_INTERRUPT',
  'SQLITE_IOERR',
  'SQLITE_CORRUPT',
  'SQLITE_NOTFOUND',
  'SQLITE_FULL',
  'SQLITE_CANTOPEN',
  'SQLITE_PROTOCOL',
  'SQLITE_SCHEMA',
  'SQLITE_TOOBIG',
  'SQLITE_CONSTRAINT',
  'SQLITE_MISMATCH',
  'SQLITE_MISUSE',
  'SQLITE_AUTH',
  'SQLITE_RANGE',
  'SQLITE_NOTADB',
] as const
type PrimaryCode = (typeof PRIMARY_CODES)[number]

/**
 * The SQLite code of an error, or undefined when it is none (better-sqlite3 raises a bare TypeError for a
 * missing folder).
 */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' && error.code.startsWith('SQLITE_') ? error.code : undefined
}

/** For inbound.db, which we only read. */
export function classifyRead(error: unknown): Verdict {
  const code = sqliteCode(error)
  if (code === undefined)
    return error instanceof TypeError && /directory does not exist/.test(error.message) ? 'wait' : 'bug'
  const primary = primaryOf(code)
  switch (primary) {
    case 'SQLITE_BUSY':
    case 'SQLITE_LOCKED':
    case 'SQLITE_PROTOCOL':
    case 'SQLITE_SCHEMA':
    case 'SQLITE_INTERRUPT':
    case 'SQLITE_ABORT':
      return 'retry'
    case 'SQLITE_READONLY': // READONLY_ROLLBACK, READONLY_RECOVERY: a dead writer's journal that only a writer may play back
    case 'SQLITE_CANTOPEN':
    case 'SQLITE_PERM':
    case 'SQLITE_AUTH':
      return 'wait'
    case 'SQLITE_ERROR': // "no such table": the host has made the file, its tables come next; or a view of the host's raises
      return /syntax error|incomplete input/.test(messageOf(error)) ? 'bug' : 'wait'
    case 'SQLITE_TOOBIG': // a view makes a value that is too long, or of a type that does not fit
    case 'SQLITE_MISMATCH':
      return 'wait'
    case 'SQLITE_CORRUPT':
    case 'SQLITE_NOTADB':
    case 'SQLITE_IOERR':
      return 'damaged'
    case 'SQLITE_FULL':
    case 'SQLITE_NOMEM':
      return 'hold'
    case 'SQLITE_CONSTRAINT':
    case 'SQLITE_MISUSE':
    case 'SQLITE_RANGE':
    case 'SQLITE_INTERNAL':
    case 'SQLITE_NOTFOUND':
      return 'bug'
    default:
      return primary satisfies never
  }
}

/** For outbound.db, which we alone write. */
export function classifyWrite(error: unknown): Verdict {
  const code = sqliteCode(error)
  if (code === undefined)
    return error instanceof TypeError && /directory does not exist/.test(error.message) ? 'misplaced' : 'bug'
  const primary = primaryOf(code)
  switch (primary) {
    case 'SQLITE_BUSY':
    case 'SQLITE_LOCKED':
    case 'SQLITE_PROTOCOL':
    case 'SQLITE_SCHEMA':
    case 'SQLITE_INTERRUPT':
    case 'SQLITE_ABORT':
      return 'retry'
    case 'SQLITE_FULL':
    case 'SQLITE_IOERR':
    case 'SQLITE_NOMEM':
    case 'SQLITE_CANTOPEN': // its journal, mostly for lack of descriptors: the file itself is open
      return 'hold'
    case 'SQLITE_READONLY': // READONLY_DBMOVED: renamed or deleted under us
    case 'SQLITE_PERM':
    case 'SQLITE_AUTH':
      return 'misplaced'
    case 'SQLITE_CORRUPT':
    case 'SQLITE_NOTADB':
      return 'damaged'
    case 'SQLITE_ERROR':
    case 'SQLITE_TOOBIG':
    case 'SQLITE_CONSTRAINT':
    case 'SQLITE_MISMATCH':
    case 'SQLITE_MISUSE':
    case 'SQLITE_RANGE':
    case 'SQLITE_INTERNAL':
    case 'SQLITE_NOTFOUND':
      return 'bug'
    default:
      return primary satisfies never
  }
}

/** outbound.db cannot be read at the moment; the source waits for it as it does for inbound.db. */
export class OutboundUnreadable extends NanoclawError {
  readonly path: string
  constructor(path: string, cause: unknown) {
    super('outbound_unusable', explain(cause, { path, use: 'write' }), { cause })
    this.path = path
  }
}

/**
 * Why a file is not readable for now. `flickers`: such trouble may be over in a moment. `path`: it is another
 * file's.
 */
interface Unreadable {
  readonly retry: false
  readonly reason: string
  readonly flickers: boolean
  readonly path?: string
}

/**
 * What a failed read of inbound.db means for the source. Throws what is a bug.
 * @param inbound where it lies
 */
export function readTrouble(
  error: unknown,
  inbound?: string,
): { readonly retry: true; readonly path?: string } | Unreadable {
  const path = error instanceof OutboundUnreadable ? { path: error.path } : {}
  if (error instanceof OutboundUnreadable && classifyWrite(error.cause) === 'retry')
    return { retry: true, ...path }
  if (error instanceof NanoclawError) return { retry: false, reason: error.message, flickers: false, ...path }
  const verdict = classifyRead(error)
  if (verdict === 'bug') throw error
  if (verdict === 'retry') return { retry: true }
  const flickers = verdict === 'damaged' || primaryOf(sqliteCode(error) ?? '') === 'SQLITE_READONLY'
  const file = inbound === undefined ? undefined : ({ path: inbound, use: 'read' } as const)
  return { retry: false, reason: explain(error, file), flickers }
}

/** What a failed commit to outbound.db means for the dispatcher, which keeps the results. */
export function writeTrouble(error: unknown): 'retry' | 'hold' | 'doubt' | 'fatal' {
  if (error instanceof NanoclawError) return 'fatal'
  if (isDoubtful(error)) return 'doubt'
  const verdict = classifyWrite(error)
  return verdict === 'retry' || verdict === 'hold' ? verdict : 'fatal'
}

/**
 * The disk has failed, and what a handle remembers of the file may not be what is on it. A read that failed
 * looks like damage.
 */
export function isDoubtful(error: unknown): boolean {
  const primary = primaryOf(sqliteCode(error) ?? '')
  return primary === 'SQLITE_IOERR' || primary === 'SQLITE_CORRUPT' || primary === 'SQLITE_NOTADB'
}

/** What ends the runtime, or its start, when outbound.db cannot be used. */
export function outboundError(path: string, error: unknown): NanoclawError {
  if (error instanceof NanoclawError) return error
  return new NanoclawError('outbound_unusable', `${path}: ${explain(error, { path, use: 'write' })}`, {
    cause: error,
  })
}

/** What ends a start that cannot touch the heartbeat. */
export function heartbeatError(path: string, error: unknown): NanoclawError {
  const remedy = `It must be a plain file that belongs to uid ${process.getuid?.()}`
  const why = denialOf(path, 'write') ?? `${messageOf(error)}. ${remedy}`
  return new NanoclawError('outbound_unusable', `Cannot touch ${path}: ${why}.`, { cause: error })
}

/** Whether outbound.db was moved, deleted or exchanged while the runtime used it. */
export function isMoved(error: unknown): boolean {
  return sqliteCode(error instanceof NanoclawError ? error.cause : error) === 'SQLITE_READONLY_DBMOVED'
}

/** Families of which the rights of a file or folder may be the cause. */
const MAYBE_DENIED = ['SQLITE_READONLY', 'SQLITE_CANTOPEN', 'SQLITE_PERM', 'SQLITE_AUTH', 'SQLITE_IOERR']

/**
 * One sentence for people: what this code most likely means here, and what to do.
 * @param file what was used and how: then its rights are looked at as well
 */
export function explain(error: unknown, file?: { readonly path: string; readonly use: Use }): string {
  const code = sqliteCode(error) ?? ''
  const denied =
    file && code !== 'SQLITE_READONLY_DBMOVED' && MAYBE_DENIED.includes(primaryOf(code))
      ? denialOf(file.path, file.use)
      : undefined
  if (denied) return denied
  if (code.startsWith('SQLITE_READONLY_ROLLBACK'))
    return 'a writer died in mid-transaction and left a journal; the file is readable again once its writer has opened it'
  if (code === 'SQLITE_READONLY_DBMOVED')
    return 'the file was moved or deleted while in use; put it back, or start again'
  if (code.startsWith('SQLITE_CANTOPEN'))
    return 'it cannot be opened: missing, no permission, no descriptors left, or in WAL mode on a read-only mount (use journal_mode=DELETE)'
  if (code.startsWith('SQLITE_NOTADB')) return 'it is not an SQLite database'
  if (code.startsWith('SQLITE_CORRUPT'))
    return 'its bytes are damaged, or the disk reads wrongly; restore it from a backup, nothing here repairs it'
  if (code.startsWith('SQLITE_FULL'))
    return 'the disk is full; free some space, what is finished is kept in memory'
  if (code.startsWith('SQLITE_IOERR')) return 'the disk reports an input/output error'
  return messageOf(error)
}

function primaryOf(code: string): PrimaryCode {
  return (
    PRIMARY_CODES.find((primary) => code === primary || code.startsWith(`${primary}_`)) ?? 'SQLITE_INTERNAL'
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
