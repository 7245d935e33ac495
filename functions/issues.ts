// One line for each thing that happens to an issue, comments included.
import { defineFunction } from 'nanoclaw-functions'
import { commented, type Delivery, inOrder, line, quote, who, words } from './_github.ts'

interface Issue {
  readonly action: string
  readonly issue: { readonly number: number; readonly title: string }
  readonly comment?: { readonly body: string }
  readonly label?: { readonly name: string }
  readonly assignee?: { readonly login: string } | null
}

export default defineFunction<Delivery<Issue>>({
  on: { kind: 'webhook', channelType: 'github', content: { event: ['issues', 'issue_comment'] } },
  key: inOrder,
  handler({ content: { payload } }) {
    const { action, issue, comment, label, assignee } = payload
    if (comment)
      return line(payload, `${who(payload)} ${commented(action)} #${issue.number}: ${quote(comment.body)}`)

    const detail = label?.name ?? assignee?.login
    const what = `${who(payload)} ${words(action)} issue #${issue.number} ${quote(issue.title)}`
    return line(payload, detail ? `${what} (${detail})` : what)
  },
})
