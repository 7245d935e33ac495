// The fields of a reply that follow from the answered message: its address and its hop count. Two agents
// whose functions answer every message would answer each other for ever: each answer to an agent increments
// the count.
import type { HandlerMessage } from '../protocol/handler.ts'

/** The `channelType` of messages from another agent, or from the host on behalf of the agent itself. */
export const AGENT = 'agent'

/**
 * Limit of consecutive answers between agents: more than a conversation needs, and reached within a minute by
 * two echo functions.
 */
export const AGENT_HOPS_MAX = 20

export interface Address {
  readonly platformId: string | null
  readonly channelType: string | null
  readonly threadId: string | null
}

const NOWHERE: Address = { platformId: null, channelType: null, threadId: null }

/**
 * A notification of the host to the agent itself (after a restart, after an installation) has the agent's own
 * address: it gets no answer.
 */
export function addressOf({ platformId, channelType, threadId, content }: HandlerMessage): Address {
  if (channelType === AGENT && content?.sender === 'system') return NOWHERE
  return { platformId, channelType, threadId }
}

/**
 * The hop count of an answer to this message; 0: not between agents. The host passes `content.hops` on to the
 * other agent.
 */
export function hopsOf({ channelType, content }: HandlerMessage): number {
  if (channelType !== AGENT) return 0
  const before: unknown = content?.hops
  return (Number.isSafeInteger(before) ? Math.max(Number(before), 0) : 0) + 1
}
