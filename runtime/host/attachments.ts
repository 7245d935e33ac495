// Files that come with a message: written to `inbox/<message id>/<name>` before the message itself, and named
// in its content. Files are renamed into place whole, so writing them again is safe when the first attempt
// ended before the message was written.
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, extname } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'
import { FolderHandle } from './folder-handle.ts'
import { isPlainName, NAME_BYTES_MAX } from './names.ts'
import type { NewMessageRow } from './sqlite/inbox.ts'

/** A file as bytes, or by its path. */
export type Attachment = {
  /** A plain file name; a name with a path in it is replaced. Default: the base name of `path`. */
  readonly name?: string
  readonly mimeType?: string
} & ({ readonly data: Uint8Array } | { readonly path: string })

/** How a message's content names a file. */
export interface StoredAttachment {
  readonly name: string
  readonly type: 'file'
  readonly mimeType?: string
  readonly size: number
  /** Relative to the session folder. */
  readonly localPath: string
}

const EXTENSION: Readonly<Record<string, string>> = {
  'application/json': '.json',
  'application/pdf': '.pdf',
  'application/zip': '.zip',
  'audio/mpeg': '.mp3',
  'audio/ogg': '.ogg',
  'image/gif': '.gif',
  'image/jpeg': '.jpg',
  'image/png': '.png',
  'image/webp': '.webp',
  'text/csv': '.csv',
  'text/plain': '.txt',
  'video/mp4': '.mp4',
}

/**
 * Writes the files of one message and names them in its content, under `attachments`.
 * @throws NanoclawError `bad_message` when the id is not usable as a directory name, the content is not an
 *   object, a file cannot be
 * read or its data is not bytes.
 */
export function attach(dir: string, row: NewMessageRow, attachments: readonly Attachment[]): NewMessageRow {
  const content: unknown = JSON.parse(row.content)
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new NanoclawError(
      'bad_message',
      `content is ${row.content}; with attachments expected an object or text`,
    )
  const { attachments: named } = content as Record<string, unknown>
  const stored = storeAttachments(dir, row.id, attachments)
  return {
    ...row,
    content: JSON.stringify({
      ...content,
      attachments: Array.isArray(named) ? [...named, ...stored] : stored,
    }),
  }
}

function storeAttachments(dir: string, id: string, attachments: readonly Attachment[]): StoredAttachment[] {
  if (!isPlainName(id))
    throw new NanoclawError(
      'bad_message',
      `id is ${JSON.stringify(id)}; a message with attachments needs an id that is a plain file name`,
    )
  attachments.forEach(checkAttachment)
  const folder = FolderHandle.made(dir, 'inbox', id)
  try {
    const taken = new Set<string>()
    const stored = attachments.map((attachment, index) => {
      const name = freeName(safeName(attachment, index), taken)
      const size = writeWhole(folder, name, attachment)
      const { mimeType } = attachment
      return {
        name,
        type: 'file' as const,
        ...(mimeType !== undefined && { mimeType }),
        size,
        localPath: `inbox/${id}/${name}`,
      }
    })
    folder.sync()
    return stored
  } finally {
    folder.close()
  }
}

function checkAttachment(attachment: Attachment, index: number): void {
  const { data, path, name, mimeType } = (attachment ?? {}) as Record<string, unknown>
  const where = `attachments[${index}]`
  const optionalText = [name, mimeType].every((value) => value === undefined || typeof value === 'string')
  if (!optionalText || !(data instanceof Uint8Array) === (typeof path !== 'string'))
    throw new NanoclawError(
      'bad_message',
      `${where} is not legal; expected { name?, mimeType?, data: Uint8Array } or { name?, mimeType?, path }`,
    )
  if (typeof path === 'string' && !statSync(path, { throwIfNoEntry: false })?.isFile())
    throw noFile(`${where}.path`, path)
}

function noFile(where: string, path: string): NanoclawError {
  return new NanoclawError('bad_message', `${where} is ${JSON.stringify(path)}; expected a file that exists`)
}

function safeName(attachment: Attachment, index: number): string {
  const wanted = attachment.name ?? ('path' in attachment ? basename(attachment.path) : '')
  if (isPlainName(wanted)) return wanted
  const extension = extname(wanted)
  const byType = EXTENSION[attachment.mimeType ?? ''] ?? ''
  return `attachment-${index + 1}${/^\.[A-Za-z0-9]{1,8}$/.test(extension) ? extension : byType}`
}

/** A longer "extension" counts as part of the name. */
const EXTENSION_BYTES_MAX = 32

/** `report.pdf`, `report-2.pdf`, …; the stem is cut where the name is too long for a file system. */
function freeName(name: string, taken: Set<string>): string {
  const extension = Buffer.byteLength(extname(name)) > EXTENSION_BYTES_MAX ? '' : extname(name)
  const stem = name.slice(0, name.length - extension.length)
  let free = name
  for (let n = 2; taken.has(free); n++) {
    const tail = `-${n}${extension}`
    free = `${cut(stem, NAME_BYTES_MAX - Buffer.byteLength(tail))}${tail}`
  }
  taken.add(free)
  return free
}

/** The longest prefix of whole characters that fits. */
function cut(text: string, bytesMax: number): string {
  let bytes = 0
  let kept = ''
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > bytesMax) break
    kept += character
  }
  return kept
}

/**
 * The draft is opened once; the write, the sync and the size all use that descriptor, even if the name points
 * elsewhere by then.
 */
function writeWhole(folder: FolderHandle, name: string, attachment: Attachment): number {
  const draft = `.${randomUUID()}`
  const fd = folder.create(draft, 0o600)
  try {
    if ('path' in attachment) copyInto(fd, attachment.path)
    else writeFileSync(fd, attachment.data)
    fsyncSync(fd)
    const { size } = fstatSync(fd)
    folder.rename(draft, name)
    return size
  } catch (error) {
    folder.remove(draft)
    throw error
  } finally {
    closeSync(fd)
  }
}

const CHUNK_BYTES = 1_048_576

/** Copies content and mode. Opens without blocking: a FIFO at that path must not stop the host. */
function copyInto(target: number, path: string): void {
  const source = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const found = fstatSync(source)
    if (!found.isFile()) throw noFile('attachments: path', path)
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    for (let length = readSync(source, chunk); length > 0; length = readSync(source, chunk))
      writeFileSync(target, chunk.subarray(0, length))
    fchmodSync(target, found.mode & 0o777)
  } finally {
    closeSync(source)
  }
}
