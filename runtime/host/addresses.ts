// Addresses that a host gives to a runner of the first kind, which has no other way to know them: it writes by name, or to the
// session's own conversation. Our runtime asks for neither, since a reply goes where its message came from.

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
   * Where a runner writes to that says nothing about it: the session's own conversation.
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
   * Whom a runner may write to, by name; those that were there before are gone.
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
