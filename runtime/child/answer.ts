// What a reply owes to the message that it answers: its address, and how long a chain of answers it belongs to. Two agents
// whose functions answer every message would answer each other for ever: each answer to an agent counts one more.
import type { HandlerMessage } from '../protocol/handler.ts'

/** In `channelType`: from another agent, or from the host in the name of the agent itself. */
export const AGENT = 'agent'

/** Answers in a row between agents. More than people agree on, and reached within a minute when two functions only echo. */
export const AGENT_HOPS_MAX = 20

export interface Address {
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
}

const NOWHERE: Address = { platformId: null, channelType: null, threadId: null }

/** A note of the host to the agent itself (it was restarted, something was installed) has its own address: no answer goes there. */
export function addressOf({ platformId, channelType, threadId, content }: HandlerMessage): Address {
  if (channelType === AGENT && content?.sender === 'system') return NOWHERE
  return { platformId, channelType, threadId }
}

/** The place of an answer to this message in its chain; 0: it is in none. The host hands `content.hops` on to the other agent. */
export function hopsOf({ channelType, content }: HandlerMessage): number {
  if (channelType !== AGENT) return 0
  const before: unknown = content?.hops
  return (Number.isSafeInteger(before) ? Math.max(Number(before), 0) : 0) + 1
}
