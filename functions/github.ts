// One line for every delivery from GitHub that no other function takes: all other rules are more specific
// than this one, and the most specific rule wins. Payloads have many shapes here; most have a name somewhere.
import { defineFunction } from 'nanoclaw-functions'
import { type Common, type Delivery, inOrder, line, quote, who, words } from './_github.ts'

interface Payload extends Common {
  readonly [field: string]: unknown
  readonly deployment_status?: { readonly environment: string; readonly state: string }
  readonly forkee?: { readonly full_name: string }
  readonly team?: { readonly name: string }
}

export default defineFunction<Delivery<Payload>>({
  on: { kind: 'webhook', channelType: 'github' },
  key: inOrder,
  handler({ content: { event, payload } }) {
    return line(payload, sentenceOf(event, payload) ?? generic(event, payload))
  },
})

/** Events whose names need an explanation. */
function sentenceOf(event: string, payload: Payload): string | undefined {
  const sender = who(payload)
  switch (event) {
    case 'create':
    case 'delete':
      return `${sender} ${event}d ${payload.ref_type} ${payload.ref}`
    case 'deployment_status':
      return `deployment to ${payload.deployment_status?.environment}: ${words(payload.deployment_status?.state ?? '')}`
    case 'fork':
      return `${sender} forked it to ${payload.forkee?.full_name}`
    case 'gollum':
      return `${sender} edited the wiki`
    case 'ping':
      return `the webhook works: ${quote(String(payload.zen))}`
    case 'public':
      return `${sender} made it public`
    case 'star':
      return `${sender} ${payload.action === 'deleted' ? 'took a star back' : 'gave it a star'}`
    case 'team_add':
      return `${sender} let the team ${payload.team?.name} in`
    case 'watch':
      return `${sender} watches it`
    default:
      return undefined
  }
}

/** For example: label deleted by Codertocat: “:bug: Bugfix” */
function generic(event: string, payload: Payload): string {
  const name = nameIn(payload)
  const action = payload.action ? ` ${words(payload.action)}` : ''
  const by = payload.sender ? ` by ${payload.sender.login}` : ''
  return `${words(event)}${action}${by}${name ? `: ${quote(name)}` : ''}`
}

const SURROUNDINGS = new Set(['repository', 'organization', 'sender', 'installation', 'changes'])
const NAMES = ['title', 'name', 'tag_name', 'login', 'summary', 'body', 'note', 'environment']

/** The name of the subject: the first name in the first object that has one. */
function nameIn(payload: Payload): string | undefined {
  const things = Object.entries(payload).filter(([key]) => !SURROUNDINGS.has(key))
  const names = things.flatMap(([, thing]) => (isObject(thing) ? NAMES.map((name) => thing[name]) : []))
  return names.find((name) => typeof name === 'string' && name !== '') as string | undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
