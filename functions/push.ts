// One line for each push: how much, where to, and the newest commit.
import { defineFunction } from 'nanoclaw-functions'
import { type Delivery, inOrder, line, quote, who } from './_github.ts'

interface Push {
  readonly ref: string
  readonly created: boolean
  readonly deleted: boolean
  readonly forced: boolean
  readonly commits: readonly { readonly message: string }[]
}

export default defineFunction<Delivery<Push>>({
  on: { kind: 'webhook', channelType: 'github', content: { event: 'push' } },
  key: inOrder,
  handler({ content: { payload } }) {
    const { ref, created, deleted, forced, commits } = payload
    const target = ref.replace('refs/heads/', '').replace('refs/tags/', 'tag ')
    if (deleted) return line(payload, `${who(payload)} deleted ${target}`)
    if (commits.length === 0)
      return line(payload, `${who(payload)} ${created ? 'created' : 'reset'} ${target}`)

    const many = commits.length === 1 ? '1 commit' : `${commits.length} commits`
    const verb = forced ? 'force-pushed' : 'pushed'
    return line(payload, `${who(payload)} ${verb} ${many} to ${target}: ${quote(commits.at(-1)!.message)}`)
  },
})
