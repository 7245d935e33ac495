// What an order of events is, and the words in which those of orders.ts and wait-orders.ts are written.
import type { Fate } from './cast.ts'
import type { Choices } from './choices.ts'
import type { Event, NewMessage } from './events.ts'
import type { Known } from './known.ts'

export interface Order extends Known {
  readonly mutant: string
}

export const LATE: Partial<Choices> = { stores: ['late'], small: false }
export const MEMORY: Partial<Choices> = { stores: ['memory'], small: false }
export const ONE: Partial<Choices> = { stores: ['sqlite'], small: false }
export const TWO: Partial<Choices> = { stores: ['sqlite', 'sqlite'], small: false }

/** Addresses: a lane beside that of address 0, and none. */
export const [BOB, NONE] = [1, 3]
export const up: Event = { do: 'pass', ms: 300 }
/** From this version on, one process for `quick`. */
export const narrow: Event = { do: 'reload', version: 4 }

export function message(plan: number, does: readonly Partial<Fate>[] = [{}], part: Partial<NewMessage> = {}) {
  return { plan, kind: 'quick', address: 0, due: 'now', odd: 'no', does, ...part } satisfies NewMessage
}

export function insert(messages: readonly NewMessage[], at: 0 | 1 = 0): Event {
  return { do: 'insert', messages, hint: 'now', at }
}

export const pass = (ms: number): Event => ({ do: 'pass', ms })
export const until = (situation: Extract<Event, { do: 'until' }>['situation'], at: 0 | 1 = 0): Event => ({
  do: 'until',
  situation,
  at,
})
export const many = (count: number, from: number, does: Partial<Fate>): NewMessage[] =>
  Array.from({ length: count }, (_, n) => message(from + n, [does], { address: NONE }))
