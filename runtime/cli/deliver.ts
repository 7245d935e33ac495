// The host's side of replies in `dev`. The screen is the platform: replies were shown when their run ended, so there is nothing
// left to send. What functions ask of their host (replies of kind `system`) is carried out.
import { mkdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TASK_ACTIONS } from '../host/actions.ts'
import type { Delivery, DeliveryEvent, Host, Outgoing } from '../host/index.ts'

/** `action`: its name; null: it is not one that this host knows, or the reply was an ordinary one. */
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

/** A delivery clears the outbox; the author may want to look at the files. */
async function keepFiles({ id, files }: Outgoing, workspace: string): Promise<void> {
  for (const { name, bytes } of files) {
    const kept = join(workspace, 'sent', id, name)
    mkdirSync(dirname(kept), { recursive: true })
    await writeFile(kept, await bytes())
  }
}
