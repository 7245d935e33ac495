// Shared code of the functions for GitHub. The underscore marks a file that is not a function.

/** The content of each delivery: the header X-GitHub-Event, and the body. */
export interface Delivery<Payload> {
  readonly event: string
  readonly payload: Payload & Common
}

/** Fields of most payloads. The package @octokit/webhooks-types has complete types. */
export interface Common {
  readonly action?: string
  readonly repository?: { readonly full_name: string }
  readonly organization?: { readonly login: string }
  readonly sender?: { readonly login: string }
}

/**
 * The host puts the repository into `platformId`, so deliveries of one repository stay in order across
 * functions.
 */
export const inOrder = 'platformId'

const LINE_MAX = 180
const QUOTE_MAX = 60

/** One line: the repository, and the event. */
export function line({ repository, organization }: Common, what: string): string {
  const place = repository?.full_name ?? organization?.login ?? 'GitHub'
  return clip(`${place}: ${what}`, LINE_MAX)
}

export function who({ sender }: Common): string {
  return sender?.login ?? 'somebody'
}

/** “commented on”, “edited a comment on” */
export function commented(action: string): string {
  return action === 'created' ? 'commented on' : `${words(action)} a comment on`
}

/** “The beginning of a longer te…” */
export function quote(text: string): string {
  return `“${clip(text, QUOTE_MAX)}”`
}

/** Identifiers as words: ready_for_review → ready for review. */
export function words(name: string): string {
  return name.replaceAll(/[_-]/g, ' ')
}

function clip(text: string, max: number): string {
  const characters = [...text.trim().replaceAll(/\s+/g, ' ')]
  return characters.length > max ? `${characters.slice(0, max - 1).join('')}…` : characters.join('')
}
