// A reply as an adapter gets it, with the files that the handler laid into `outbox/<reply id>/`. Names in a reply come from
// a handler: only plain names of real files in that real folder are handed over.
import { lstatSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ReplyRow } from '../store/host-outbox.ts'
import { isPlainName, realFolder } from './names.ts'
import { type HostReply, hostReply } from './replies.ts'

export interface OutgoingFile {
  readonly name: string
  /** Absolute; gone as soon as the reply has been sent. */
  readonly path: string
}

export interface Outgoing extends HostReply {
  /** The files named by `content.files` that are there. */
  readonly files: readonly OutgoingFile[]
}

export function outgoing(dir: string, row: ReplyRow): Outgoing {
  const reply = hostReply(row)
  const folder = realFolder(join(dir, 'outbox'), row.id)
  const names: unknown[] = Array.isArray(reply.content?.files) ? reply.content.files : []
  const files = folder === undefined ? [] : names.filter(isString).flatMap((name) => fileIn(folder, name))
  return { ...reply, files }
}

/** After the reply has been sent. What cannot be removed stays: it may never make a sent reply fail. */
export function clearFiles(dir: string, id: string): void {
  const folder = realFolder(join(dir, 'outbox'), id)
  if (folder === undefined) return
  try {
    rmSync(folder, { recursive: true, force: true })
  } catch {
    // No permission, or somebody writes into it: the files are the runtime's, and it may clear them later.
  }
}

function fileIn(folder: string, name: string): OutgoingFile[] {
  const path = join(folder, name)
  return isPlainName(name) && lstatSync(path, { throwIfNoEntry: false })?.isFile() ? [{ name, path }] : []
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}
