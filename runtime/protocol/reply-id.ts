// The ids that a runtime makes: of replies and of questions. Both derive from the message id and the index of
// the reply in its run, so that another run of the message makes the same ids, and nothing is stored or asked
// twice.
import { createHash } from 'node:crypto'

/**
 * Hosts use the id of a reply as the directory name of its files. Plain message ids stay readable in it. A
 * colon counts as plain: hosts accept it, and newer ones put one into every message id.
 */
const PLAIN = /^[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}$/
/** Half of SHA-256: collisions are not feasible. Hexadecimal, because some file systems ignore case. */
const HASH_CHARS = 32

/**
 * The longest id of a question, in bytes: platforms store the id and the chosen option in a button, with at
 * most 64 bytes for both.
 */
export const QUESTION_ID_MAX = 35

/**
 * The nth reply of a message, from 0. A plain id never begins with `~`, so that no other message can have the
 * same name.
 */
export function replyId(messageId: string, index: number): string {
  return `${replyStems(messageId)[0]}:${index}`
}

/** Where that id is the one of a reply to an earlier message of the same id. `seq`: of the new reply. */
export function replyIdAgain(replyId: string, seq: number): string {
  return `${replyId}-${seq}`
}

/** The prefixes of the ids of a message's replies: the current one, and that of earlier versions. */
export function replyStems(messageId: string): string[] {
  return PLAIN.test(messageId) ? [messageId] : [`~${hash(messageId)}`, messageId]
}

/** The id of a question whose handler set none. */
export function questionIdOf(replyId: string): string {
  return `q-${hash(replyId)}`
}

/** Chat bridges join id and option with a colon, and read the id up to the first one. */
export function isQuestionId(id: unknown): id is string {
  return typeof id === 'string' && id !== '' && !id.includes(':') && Buffer.byteLength(id) <= QUESTION_ID_MAX
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_CHARS)
}
