// A reply as an adapter gets it, with the files that the handler laid into `outbox/<reply id>/`. A handler is not trusted:
// it names the files, and may replace them by links at any moment. So an adapter gets no path but content: each read opens
// the file in the directory that was opened for this try, and gives only what that descriptor is found to be.
import { closeSync, createReadStream, lstatSync, read } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { FolderHandle, type OpenFile } from './folder-handle.ts'
import { isPlainName } from './names.ts'
import { type HostReply, hostReply } from './replies.ts'
import type { ReplyRow } from './sqlite/outbox.ts'

export interface OutgoingFile {
  readonly name: string
  /** Bytes, when the reply was handed over. */
  readonly size: number
  /** The content. Rejects when the file has become something else, and after the try has ended. */
  bytes(): Promise<Buffer>
  /** The same in parts, for large files. It may be read to its end after the try, but must be opened within it. */
  stream(): Readable
}

export interface Outgoing extends HostReply {
  /** The files named by `content.files` that are there, regular, and have no other name. */
  readonly files: readonly OutgoingFile[]
}

/** A reply with its files, and what to call when the try is over. */
export interface Handed {
  readonly reply: Outgoing
  close(): void
}

/** @throws NanoclawError `bad_config` when the folder may not be opened */
export function handOver(dir: string, row: ReplyRow): Handed {
  const reply = hostReply(row)
  const named: unknown[] = Array.isArray(reply.content?.files) ? reply.content.files : []
  const names = named.filter(isString)
  const folder =
    names.length > 0 && isPlainName(row.id) ? FolderHandle.below(dir, 'outbox', row.id) : undefined
  if (!folder) return { reply: { ...reply, files: [] }, close: () => {} }
  const open = new OpenOnce(folder)
  try {
    return { reply: { ...reply, files: names.flatMap((name) => open.file(name)) }, close: () => open.close() }
  } catch (error) {
    open.close()
    throw error
  }
}

/** After the reply has been sent. What cannot be removed stays: it may never make a sent reply fail. */
export function clearFiles(dir: string, id: string): void {
  // Most replies have no files, and this is asked for each.
  if (!isPlainName(id) || !lstatSync(join(dir, 'outbox', id), { throwIfNoEntry: false })) return
  try {
    const outbox = FolderHandle.below(dir, 'outbox')
    try {
      outbox?.remove(id)
    } finally {
      outbox?.close()
    }
  } catch {
    // No permission, or another process writes into it: the files are the handlers', and they may clear them later.
  }
}

/** The files of one try. */
class OpenOnce {
  readonly #folder: FolderHandle
  #isOver = false

  constructor(folder: FolderHandle) {
    this.#folder = folder
  }

  /** Empty: there is no such file that may be handed over. */
  file(name: string): OutgoingFile[] {
    const found = this.#folder.openFile(name)
    if (!found) return []
    closeSync(found.fd)
    const { size } = found
    return [{ name, size, bytes: async () => readAll(this.#opened(name)), stream: () => this.#stream(name) }]
  }

  close(): void {
    if (!this.#isOver) this.#folder.close()
    this.#isOver = true
  }

  #opened(name: string): OpenFile {
    if (this.#isOver)
      throw new Error(`the file ${name} was asked for after the try to send its reply had ended`)
    const found = this.#folder.openFile(name)
    if (found) return found
    throw new Error(`${join(this.#folder.path, name)} is no longer a regular file with one name`)
  }

  /** A file that grows meanwhile ends where it ended when it was opened. */
  #stream(name: string): Readable {
    const { fd, size } = this.#opened(name)
    if (size > 0) return createReadStream('', { fd, start: 0, end: size - 1 })
    closeSync(fd)
    return Readable.from([])
  }
}

const readSome = promisify(read)

async function readAll({ fd, size }: OpenFile): Promise<Buffer> {
  try {
    const content = Buffer.allocUnsafe(size)
    let at = 0
    while (at < size) {
      const { bytesRead } = await readSome(fd, content, at, size - at, at)
      if (bytesRead === 0) break
      at += bytesRead
    }
    return content.subarray(0, at)
  } finally {
    closeSync(fd)
  }
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}
