// Two tables of inbound.db that runners of nanoclaw's first generation read: the address of the session's own
// conversation, and the named destinations.
import type { HostFile } from './file.ts'

export interface Routing {
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
}

export interface DestinationRow {
  readonly name: string
  readonly displayName: string | null
  readonly type: string
  readonly channelType: string | null
  readonly platformId: string | null
  readonly agentGroupId: string | null
}

export function setSessionRouting(file: HostFile, routing: Routing): void {
  file.transact((db) =>
    db
      .prepare(
        `insert or replace into session_routing (id, channel_type, platform_id, thread_id)
         values (1, @channelType, @platformId, @threadId)`,
      )
      .run(routing),
  )
}

/** Replaces all destinations. */
export function replaceDestinations(file: HostFile, destinations: readonly DestinationRow[]): void {
  file.transact((db) => {
    db.prepare('delete from destinations').run()
    const insert = db.prepare(
      `insert into destinations (name, display_name, type, channel_type, platform_id, agent_group_id)
       values (@name, @displayName, @type, @channelType, @platformId, @agentGroupId)`,
    )
    for (const destination of destinations) insert.run(destination)
  })
}
