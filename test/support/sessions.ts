// Session folders as their host sees them, and `nanoclaw start` for several of them as a process of its own.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Started, startNanoclaw } from '../cli/cli.ts'
import { type Db, headInbound, insertMessage, type MessageColumns, openDb } from './files.ts'
import { acksAt } from './serve.ts'

/** A session folder as its host sees it. */
export interface Session {
  readonly folder: string
  readonly inbound: Db
  send(kind: string, content?: unknown, columns?: MessageColumns): string
  ack(id: string): string | undefined
  /** How many messages have ended. */
  ended(): number
  replies(): string[]
}

export function session(root: string, name: string): Session {
  const folder = join(root, name)
  mkdirSync(folder, { recursive: true })
  const inbound = headInbound(join(folder, 'inbound.db'))
  const outbound = join(folder, 'outbound.db')
  return {
    folder,
    inbound,
    send: (kind, content = {}, columns = {}) => insertMessage(inbound, { kind, content, ...columns }).id,
    ack: (id) => acksAt(outbound)[id],
    ended: () => Object.values(acksAt(outbound)).filter((ack) => ack !== 'processing').length,
    replies: () => {
      const db = openDb(outbound, { readonly: true })
      const rows = db.prepare('select content from messages_out').pluck().all() as string[]
      db.close()
      return rows.map((content) => JSON.parse(content).text)
    },
  }
}

export function started(root: string, ...args: string[]) {
  return logged(startNanoclaw(root, ['start', ...args]))
}

/** A process with its log as objects. */
export function logged({ child, stderr, ended }: Started) {
  const lines = () =>
    stderr()
      .split('\n')
      .flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? (JSON.parse(line) as any) : []))
  const said = (msg: string, workspace: string) =>
    lines().some((line) => line.msg === msg && line.workspace === workspace)
  return { child, lines, said, ended, stderr }
}
