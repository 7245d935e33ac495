// One line for each comment or review of a pull request. One function takes three events: a list means one of
// these.
import { defineFunction } from 'nanoclaw-functions'
import { commented, type Delivery, inOrder, line, quote, who, words } from './_github.ts'

interface Review {
  readonly action: string
  readonly pull_request: { readonly number: number }
  readonly review?: { readonly state: string; readonly body: string | null }
  readonly comment?: { readonly body: string }
}

export default defineFunction<Delivery<Review>>({
  on: {
    kind: 'webhook',
    channelType: 'github',
    content: { event: ['pull_request_review', 'pull_request_review_comment', 'pull_request_review_thread'] },
  },
  key: inOrder,
  handler({ content: { payload } }) {
    const { review, comment, pull_request } = payload
    const said = comment?.body ?? review?.body
    const what = `${who(payload)} ${verb(payload)} #${pull_request.number}`
    return line(payload, said ? `${what}: ${quote(said)}` : what)
  },
})

function verb({ action, review, comment }: Review): string {
  if (comment) return commented(action)
  switch (review?.state) {
    case undefined:
      return `${words(action)} a thread of`
    case 'approved':
      return 'approved'
    case 'changes_requested':
      return 'asked for changes in'
    case 'dismissed':
      return 'dismissed a review of'
    default:
      return 'reviewed'
  }
}
