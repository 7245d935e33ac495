// The ids that a runtime makes: of a reply, and of a question. Both follow from the message and the place of the reply in
// its run, so that a message that runs again names them alike, and nothing is stored or asked twice.
import { createHash } from 'node:crypto'

/**
 * Hosts take the id of a reply as the name of the folder of its files. Ids of messages that are plain stay readable in it.
 * A colon is plain: hosts take it, and newer ones put one into every id of a message.
 */
const PLAIN = /^[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}$/
/** Half of SHA-256: nobody finds two ids with the same one. Hexadecimal, because some file systems ignore case. */
const HASH_CHARS = 32

/**
 * The longest id of a question, in bytes: platforms carry the id and the chosen option in a button, and the narrowest of
 * them takes 64 bytes for both.
 */
export const QUESTION_ID_MAX = 35

/** The nth reply of a message, from 0. `~` begins no plain id, so that no other message can have the same name. */
export function replyId(messageId: string, index: number): string {
  return `${replyStems(messageId)[0]}:${index}`
}

/** With what the ids of a message's replies begin; the second one: as earlier versions named them. */
export function replyStems(messageId: string): string[] {
  return PLAIN.test(messageId) ? [messageId] : [`~${hash(messageId)}`, messageId]
}

/** A question whose handler gave it no id. */
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
