// A reply as an adapter receives it, with the files that the handler wrote to `outbox/<reply id>/`. Handlers
// are not trusted: they name the files and may replace them by links at any moment. So an adapter receives
// content and no path: each read opens the file relative to the directory that was opened for this attempt,
// and checks the descriptor.
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
  /** Size in bytes when the attempt began. */
  readonly size: number
  /** The content. Rejects when the file was replaced, and after the attempt has ended. */
  bytes(): Promise<Buffer>
  /**
   * The same as a stream, for large files. It must be opened within the attempt and may be read to its end
   * afterwards.
   */
  stream(): Readable
}

export interface Outgoing extends HostReply {
  /** The files named by `content.files` that exist, are regular and have one name only. */
  readonly files: readonly OutgoingFile[]
}

/** A reply with its files, and the function to call when the attempt is over. */
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

/**
 * Called after the reply was sent. Files that cannot be removed stay: they must not make a sent reply fail.
 */
export function clearFiles(dir: string, id: string): void {
  // Most replies have no files, and this runs for each reply.
  if (!isPlainName(id) || !lstatSync(join(dir, 'outbox', id), { throwIfNoEntry: false })) return
  try {
    const outbox = FolderHandle.below(dir, 'outbox')
    try {
      outbox?.remove(id)
    } finally {
      outbox?.close()
    }
  } catch {
    // No permission, or another process writes there. The files belong to the handlers, which may remove them
    // later.
  }
}

/** The files of one attempt. */
class OpenOnce {
  readonly #folder: FolderHandle
  #isOver = false

  constructor(folder: FolderHandle) {
    this.#folder = folder
  }

  /** Empty: no such file may be passed on. */
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
      throw new Error(`the file ${name} was read after the attempt to send its reply had ended`)
    const found = this.#folder.openFile(name)
    if (found) return found
    throw new Error(`${join(this.#folder.path, name)} is no longer a regular file with one name`)
  }

  /** Reads up to the size at opening, also when the file grows. */
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
