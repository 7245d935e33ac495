// The host's side of replies in `dev`. The terminal is the platform: replies were printed when their run
// ended. Replies of kind `system` are executed.
import { mkdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TASK_ACTIONS } from '../host/actions.ts'
import type { Delivery, DeliveryEvent, Host, Outgoing } from '../host/index.ts'

/** `action`: its name; null: unknown to this host, or an ordinary reply. */
export type ShowAction = (event: DeliveryEvent, action: string | null) => void

export function deliver(host: Host, workspace: string, show: ShowAction): Delivery {
  const asked = new Map<string, string>()
  const noted = Object.entries(TASK_ACTIONS).map(([name, act]): [string, typeof act] => [
    name,
    (payload, context) => {
      asked.set(context.reply.id, name)
      return act(payload, context)
    },
  ])
  return host.deliver((reply) => keepFiles(reply, workspace), {
    actions: Object.fromEntries(noted),
    onEvent(event) {
      const action = event.type === 'blocked' ? null : (asked.get(event.id) ?? null)
      if (event.type === 'delivered' && action === null) return
      if (event.type !== 'blocked' && event.type !== 'retry') asked.delete(event.id)
      show(event, action)
    },
  })
}

/** A delivery clears the outbox; the files are moved so that the author can still read them. */
async function keepFiles({ id, files }: Outgoing, workspace: string): Promise<void> {
  for (const { name, bytes } of files) {
    const kept = join(workspace, 'sent', id, name)
    mkdirSync(dirname(kept), { recursive: true })
    await writeFile(kept, await bytes())
  }
}
