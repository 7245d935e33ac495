// The answer to a question that a runtime asked: a message of kind `system` in the form in which runners look
// for it.
import { NanoclawError } from '../protocol/errors.ts'
import type { NewMessage } from './message.ts'
import type { HostOutbox, ReplyRow } from './sqlite/outbox.ts'

export interface AnswerOptions {
  /** The platform's id of the user who answered. */
  readonly userId?: string
}

/**
 * Builds the answer to a question in outbound.db. Its id is derived from the id of the reply that asks, so a
 * second click changes nothing.
 * @throws NanoclawError `bad_usage` when there is no such question or it does not offer the option,
 * `not_readable_yet` when outbound.db cannot be read at the moment.
 */
export function answerMessage(
  outbox: HostOutbox,
  questionId: string,
  option: string,
  { userId }: AnswerOptions,
): NewMessage {
  const found = outbox.patiently(() => outbox.questionById(questionId)).orThrow('answer')
  const question = found && askedIn(found)
  if (!question)
    throw new NanoclawError('bad_usage', `answer: there is no question ${JSON.stringify(questionId)}`)
  return {
    id: `qr-${question.row.id}`,
    kind: 'system',
    content: {
      type: 'question_response',
      questionId,
      selectedOption: offered(question, option),
      userId: userId ?? null,
    },
    platformId: question.row.platformId,
    channelType: question.row.channelType,
    threadId: question.row.threadId,
  }
}

interface Question {
  readonly row: ReplyRow
  /** Empty: any text is accepted. */
  readonly options: readonly { readonly value: string; readonly label: string }[]
}

function askedIn(row: ReplyRow): Question | undefined {
  const content = parsed(row.content)
  if (content?.type !== 'ask_question' && content?.operation !== 'ask_question') return undefined
  const options = Array.isArray(content.options) ? content.options : []
  return { row, options: options.map(optionOf).filter((option) => option !== undefined) }
}

/** By value, or by the label that people see. */
function offered({ options, row }: Question, option: string): string {
  const match = options.find(({ value }) => value === option) ?? options.find(({ label }) => label === option)
  if (match) return match.value
  if (options.length === 0) return option
  const legal = options.map(({ value }) => JSON.stringify(value)).join(', ')
  throw new NanoclawError(
    'bad_usage',
    `answer: question ${row.id} does not offer ${JSON.stringify(option)}; it offers ${legal}`,
  )
}

/** The oldest runners wrote options as plain text. */
function optionOf(option: unknown): Question['options'][number] | undefined {
  if (typeof option === 'string') return { value: option, label: option }
  if (typeof option !== 'object' || option === null) return undefined
  const { value, label } = option as Record<string, unknown>
  const text = value ?? label
  return typeof text === 'string'
    ? { value: text, label: typeof label === 'string' ? label : text }
    : undefined
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
