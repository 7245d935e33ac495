// Addresses that a host writes for runners of nanoclaw's first generation, which address replies by name or
// to the session's own conversation. This project's runtime reads neither: a reply goes where its message
// came from.

import { invalidField, optionalTextField, textField } from './fields.ts'
import {
  type DestinationRow,
  type Routing,
  replaceDestinations,
  setSessionRouting,
} from './sqlite/addresses.ts'
import type { HostFile } from './sqlite/file.ts'

export interface Destination {
  readonly name: string
  readonly displayName?: string | null
  readonly type: 'channel' | 'agent'
  readonly channelType?: string | null
  readonly platformId?: string | null
  readonly agentGroupId?: string | null
}

export class Addresses {
  readonly #file: () => HostFile

  constructor(file: () => HostFile) {
    this.#file = file
  }

  /**
   * The default address of a runner's replies: the session's own conversation.
   * @throws NanoclawError `bad_message`
   */
  setOwn({ channelType, platformId, threadId }: Partial<Routing>): void {
    setSessionRouting(this.#file(), {
      channelType: optionalTextField('channelType', channelType),
      platformId: optionalTextField('platformId', platformId),
      threadId: optionalTextField('threadId', threadId),
    })
  }

  /**
   * The named destinations of a runner; replaces all earlier ones.
   * @throws NanoclawError `bad_message`, naming the destination
   */
  setDestinations(destinations: readonly Destination[]): void {
    const rows = new Map(destinations.map(destinationRow).map((row) => [row.name, row]))
    if (rows.size < destinations.length)
      throw invalidField('destinations', destinations.map(({ name }) => name).join(', '), 'each name once')
    replaceDestinations(this.#file(), [...rows.values()])
  }
}

function destinationRow(destination: Destination, index: number): DestinationRow {
  const field = (name: string) => `destinations[${index}].${name}`
  const optional = (name: 'displayName' | 'channelType' | 'platformId' | 'agentGroupId') =>
    optionalTextField(field(name), destination[name])
  const { type } = destination
  if (type !== 'channel' && type !== 'agent') throw invalidField(field('type'), type, "'channel' or 'agent'")
  return {
    name: textField(field('name'), destination.name),
    displayName: optional('displayName'),
    type,
    channelType: optional('channelType'),
    platformId: optional('platformId'),
    agentGroupId: optional('agentGroupId'),
  }
}
