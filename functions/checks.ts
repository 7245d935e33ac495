// One line for each step of a build, for checks, workflows and statuses. A failure is emphasised.
import { defineFunction } from 'nanoclaw-functions'
import { type Delivery, inOrder, line, quote, words } from './_github.ts'

interface Build {
  readonly name?: string | null
  readonly head_branch?: string | null
  readonly status: string | null
  readonly conclusion: string | null
}

interface Checks {
  readonly check_run?: Build
  readonly check_suite?: Build
  readonly workflow_job?: Build
  readonly workflow_run?: Build
  /** These two only for the event `status`, which has no object of its own. */
  readonly context?: string
  readonly state?: string
}

export default defineFunction<Delivery<Checks>>({
  on: {
    kind: 'webhook',
    channelType: 'github',
    content: { event: ['check_run', 'check_suite', 'workflow_job', 'workflow_run', 'status'] },
  },
  key: inOrder,
  handler({ content: { event, payload } }) {
    const build = payload.check_run ?? payload.check_suite ?? payload.workflow_job ?? payload.workflow_run
    const name = build?.name ?? build?.head_branch ?? payload.context
    const result = build?.conclusion ?? build?.status ?? payload.state ?? payload.action ?? 'changed'
    return line(payload, `${words(event)}${name ? ` ${quote(name)}` : ''}: ${loud(words(result))}`)
  },
})

function loud(result: string): string {
  return /fail|error|timed out/.test(result) ? result.toUpperCase() : result
}
