// Messages that answer a question of a handler (ctx.ask). A host's answer names the question by its id; where
// any text is an answer, the next chat message of the conversation is one. Both are matched before routing,
// so that no function takes them.
import type { Clock } from '../protocol/clock.ts'
import type { Answer } from '../protocol/handler.ts'
import { type AskedQuestion, addressKey, type WaitQueries } from '../protocol/waits.ts'
import type { MessageRow } from '../queue/message.ts'
import type { PendingRow } from './pending-row.ts'

export interface AnswersParts {
  readonly clock: Clock
  readonly waits: Pick<WaitQueries, 'questions' | 'openAt' | 'asksText'>
  readonly messagesOf: (ids: readonly string[]) => ReadonlyMap<string, MessageRow>
}

/** What a row answers. */
export interface Match {
  readonly questionId: string
  readonly isOpen: boolean
  /** JSON text of an Answer; null: the question does not offer this value. */
  readonly value: string | null
  readonly otherwise: 'late' | 'unused'
}

export class Answers {
  readonly #parts: AnswersParts
  /** Some open question may be answered by text. */
  #mayAskText = true
  /** Questions that a chat message answers which is on its way to disk: one message answers one question. */
  readonly #taken = new Map<string, string>()

  constructor(parts: AnswersParts) {
    this.#parts = parts
  }

  /** A handler waits now, perhaps for text. */
  asked(): void {
    this.#mayAskText = true
  }

  /** This message is on its way to disk as the answer to that question. */
  take(id: string, { questionId, otherwise }: Match): void {
    if (otherwise === 'unused') this.#taken.set(questionId, id)
  }

  /** What this message answers is on disk, or has come to nothing. */
  ended(messageId: string): void {
    for (const [question, id] of this.#taken) if (id === messageId) this.#taken.delete(question)
  }

  /**
   * What each of these rows answers, to be asked when it is given its place: a question that an earlier row
   * has been taken for by then is not answered by a second one.
   */
  among(rows: readonly PendingRow[]): (id: string) => Match | undefined {
    const named = rows.flatMap(({ id, kind }) => (id !== null && kind === 'system' ? id : []))
    const byName = named.length > 0 ? this.#byName(named) : NONE
    const byText = this.#mayAskText ? this.#byText(rows) : undefined
    return (id) => byName.get(id) ?? byText?.(id)
  }

  #byName(ids: readonly string[]): ReadonlyMap<string, Match> {
    const responses = new Map<string, Response>()
    for (const [id, { content }] of this.#parts.messagesOf(ids)) {
      const response = responseIn(content)
      if (response) responses.set(id, response)
    }
    if (responses.size === 0) return NONE
    const questionIds = new Set([...responses.values()].map(({ questionId }) => questionId))
    const asked = new Map(
      this.#parts.waits.questions([...questionIds]).map((each) => [each.questionId, each]),
    )
    const matches = new Map<string, Match>()
    for (const [id, response] of responses) {
      const question = asked.get(response.questionId)
      if (question) matches.set(id, this.#match(question, response))
    }
    return matches
  }

  #match({ questionId, isOpen, values }: AskedQuestion, { value, userId }: Response): Match {
    const isOffered = values === null || values.includes(value)
    return {
      questionId,
      isOpen,
      value: isOffered ? this.#answer(value, userId) : null,
      otherwise: 'late',
    }
  }

  #byText(rows: readonly PendingRow[]): ((id: string) => Match | undefined) | undefined {
    const { waits, messagesOf } = this.#parts
    const chats = rows.filter(({ id, kind, trigger }) => id !== null && trigger && CHATS.has(kind))
    if (chats.length === 0) return undefined
    const open = waits.openAt([...new Set(chats.map(addressKey))])
    if (open.length === 0) {
      this.#mayAskText = waits.asksText()
      return undefined
    }
    const byId = new Map(chats.map((row) => [row.id!, row]))
    const texts = messagesOf(chats.flatMap(({ id }) => id ?? []))
    return (id) => {
      const row = byId.get(id)
      const said = textIn(texts.get(id)?.content)
      if (!row || !said) return undefined
      const address = addressKey(row)
      const question = open.find(
        (each) =>
          each.address === address &&
          (row.seq === null || row.seq > each.afterSeq) &&
          (this.#taken.get(each.questionId) ?? id) === id,
      )
      if (!question) return undefined
      const value = this.#answer(said.value, said.userId)
      return { questionId: question.questionId, isOpen: true, value, otherwise: 'unused' }
    }
  }

  #answer(value: string, userId: string | null): string {
    const answeredAt = new Date(this.#parts.clock.now())
    return JSON.stringify({ value, userId, answeredAt } satisfies Answer)
  }
}

const NONE: ReadonlyMap<string, Match> = new Map()
const CHATS: ReadonlySet<string> = new Set(['chat', 'chat-sdk'])

interface Response {
  readonly questionId: string
  readonly value: string
  readonly userId: string | null
}

function responseIn(content: string): Response | undefined {
  const { type, questionId, selectedOption, userId } = fieldsOf(content)
  if (type !== 'question_response' || typeof questionId !== 'string' || typeof selectedOption !== 'string')
    return undefined
  return { questionId, value: selectedOption, userId: typeof userId === 'string' ? userId : null }
}

/** What a person has written; a note of the host's own is no answer. */
function textIn(content: string | undefined): Omit<Response, 'questionId'> | undefined {
  const { text, sender, senderId } = fieldsOf(content ?? '')
  if (typeof text !== 'string' || sender === 'system') return undefined
  const userId = [senderId, sender].find((each) => typeof each === 'string')
  return { value: text, userId: (userId as string | undefined) ?? null }
}

function fieldsOf(content: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(content)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
