// One line for each thing that happens to a pull request.
import { defineFunction } from 'nanoclaw-functions'
import { type Delivery, inOrder, line, quote, who, words } from './_github.ts'

interface PullRequest {
  readonly action: string
  readonly pull_request: {
    readonly number: number
    readonly title: string
    readonly merged: boolean
    readonly changed_files: number
  }
}

export default defineFunction<Delivery<PullRequest>>({
  on: { kind: 'webhook', channelType: 'github', content: { event: 'pull_request' } },
  key: inOrder,
  handler({ content: { payload } }) {
    const { number, title } = payload.pull_request
    return line(payload, `${who(payload)} ${verb(payload)} pull request #${number} ${quote(title)}`)
  },
})

function verb({ action, pull_request }: PullRequest): string {
  switch (action) {
    case 'closed':
      return pull_request.merged ? 'merged' : 'closed'
    case 'synchronize':
      return 'pushed to'
    case 'converted_to_draft':
      return 'made a draft of'
    case 'ready_for_review':
      return 'finished the draft of'
    case 'review_requested':
      return 'asked for a review of'
    case 'review_request_removed':
      return 'withdrew the review of'
    default:
      return words(action)
  }
}
