// Files that come with a message: written to `inbox/<message id>/<name>` before the message itself, and named in its content.
// A file appears under its name at once and whole, so it may be written again when the first try did not get to the message.
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, extname, join } from 'node:path'
import { NanoclawError } from '../protocol/errors.ts'
import type { MessageRow } from '../store/host-inbox.ts'
import { isPlainName, realFolder } from './names.ts'

/** A file as bytes, or by its path. */
export type Attachment = {
  /** A plain file name. One that would leave its folder is replaced; default: the name of the path. */
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
 * @throws NanoclawError `bad_message` when the id cannot be a folder's name, the content is no object, a file cannot be
 * read or its data is no bytes.
 */
export function attach(dir: string, row: MessageRow, attachments: readonly Attachment[]): MessageRow {
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
  const folder = makeFolder(dir, id)
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
  syncFolder(folder)
  return stored
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
    throw new NanoclawError(
      'bad_message',
      `${where}.path is ${JSON.stringify(path)}; expected a file that exists`,
    )
}

/** `inbox/<id>`, real folders both; a link in their place is never followed. */
function makeFolder(dir: string, id: string): string {
  return realChild(realChild(realpathSync(dir), 'inbox'), id)
}

function realChild(parent: string, name: string): string {
  const path = join(parent, name)
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined)
    mkdirSync(path, { recursive: true, mode: 0o700 })
  const folder = realFolder(parent, name)
  if (folder === undefined)
    throw new NanoclawError(
      'bad_message',
      `attachments: ${path} is not a real folder; move away what is there`,
    )
  return folder
}

function safeName(attachment: Attachment, index: number): string {
  const wanted = attachment.name ?? ('path' in attachment ? basename(attachment.path) : '')
  if (isPlainName(wanted)) return wanted
  const extension = extname(wanted)
  const byType = EXTENSION[attachment.mimeType ?? ''] ?? ''
  return `attachment-${index + 1}${/^\.[A-Za-z0-9]{1,8}$/.test(extension) ? extension : byType}`
}

/** `report.pdf`, `report-2.pdf`, … */
function freeName(name: string, taken: Set<string>): string {
  const extension = extname(name)
  const stem = name.slice(0, name.length - extension.length)
  let free = name
  for (let n = 2; taken.has(free); n++) free = `${stem}-${n}${extension}`
  taken.add(free)
  return free
}

function writeWhole(folder: string, name: string, attachment: Attachment): number {
  const draft = join(folder, `.${randomUUID()}`)
  try {
    if ('path' in attachment) copyFileSync(attachment.path, draft, constants.COPYFILE_EXCL)
    else writeFileSync(draft, attachment.data, { flag: 'wx', mode: 0o600 })
    const fd = openSync(draft, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    const { size } = statSync(draft)
    renameSync(draft, join(folder, name))
    return size
  } finally {
    rmSync(draft, { force: true })
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
