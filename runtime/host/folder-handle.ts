// An open directory. Everything below it is reached through its descriptor (`/proc/self/fd/<n>/<name>`) and
// no link is followed, so a rename or a link made by another process between two calls has no effect: the
// same directory is read, written or cleared. A container shares inbox/ and outbox/ with the host and is not
// trusted. Where there is no /proc (macOS) the path is used, after a check that it still leads to the same
// directory.
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { errorText, NanoclawError } from '../protocol/errors.ts'
import { isPlainName } from './names.ts'

/** A regular file, open for reading. */
export interface OpenFile {
  readonly fd: number
  readonly size: number
}

/**
 * Limits the passes: a process that writes as fast as files are removed could go on for ever. Nested
 * directories cost one pass per level.
 */
const PASSES_MAX = 1_000
const DESCRIPTORS = '/proc/self/fd'
const READ_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

export class FolderHandle {
  /** The path that it was opened by, for error texts. */
  readonly path: string
  readonly #fd: number
  readonly #descriptors: string
  readonly #isReachable: boolean

  private constructor(path: string, fd: number, descriptors: string) {
    this.path = path
    this.#fd = fd
    this.#descriptors = descriptors
    this.#isReachable = lstatSync(`${descriptors}/${fd}`, { throwIfNoEntry: false }) !== undefined
  }

  /**
   * The directory itself. Links on the way to it are followed: they are the host's own.
   * @throws NanoclawError `bad_config`
   */
  static open(path: string, descriptors: string = DESCRIPTORS): FolderHandle {
    try {
      return new FolderHandle(path, openSync(path, READ_FOLDER), descriptors)
    } catch (error) {
      throw cannotOpen(path, error)
    }
  }

  /**
   * `dir/name/…`, where each name is a real directory; undefined where one is missing, a link or something
   * else.
   * @throws NanoclawError `bad_config` when it may not be opened
   */
  static below(dir: string, ...names: readonly string[]): FolderHandle | undefined {
    return descend(dir, names, (parent, name) => parent.folder(name))
  }

  /**
   * The same; creates missing directories.
   * @throws NanoclawError `bad_config` where a link or another file is in the way, or a directory cannot be
   *   created
   */
  static made(dir: string, ...names: readonly string[]): FolderHandle {
    return descend(dir, names, (parent, name) => parent.#madeFolder(name))!
  }

  /** @throws NanoclawError `bad_config` when it may not be opened */
  folder(name: string | Buffer): FolderHandle | undefined {
    if (typeof name === 'string' && !isPlainName(name)) return undefined
    const path = join(this.path, name.toString())
    try {
      const fd = openSync(this.#at(name), READ_FOLDER | constants.O_NOFOLLOW)
      return new FolderHandle(path, fd, this.#descriptors)
    } catch (error) {
      if (NO_FOLDER.has(codeOf(error))) return undefined
      throw cannotOpen(path, error)
    }
  }

  has(name: string): boolean {
    return isPlainName(name) && this.#lstat(name) !== undefined
  }

  /**
   * Opens a regular file with exactly one name; undefined for anything else. A second hard link may belong to
   * a file elsewhere. The check is made on the open descriptor.
   */
  openFile(name: string): OpenFile | undefined {
    // Checked before opening: opening a FIFO blocks, and opening a device may have effects.
    if (!isPlainName(name) || !this.#lstat(name)?.isFile()) return undefined
    let fd: number
    try {
      fd = openSync(this.#at(name), READ_FILE)
    } catch (error) {
      if (NO_FILE.has(codeOf(error))) return undefined
      throw error
    }
    const found = fstatSync(fd)
    if (found.isFile() && found.nlink === 1) return { fd, size: found.size }
    closeSync(fd)
    return undefined
  }

  /** A new file, open for writing; the name must be free. */
  create(name: string, mode: number): number {
    return openSync(this.#at(name), NEW_FILE, mode)
  }

  /** Renames within this directory; replaces the target, also a link. */
  rename(from: string, to: string): void {
    renameSync(this.#at(from), this.#at(to))
  }

  sync(): void {
    fsyncSync(this.#fd)
  }

  close(): void {
    closeSync(this.#fd)
  }

  /**
   * Removes the entry with everything below it; removes links and never follows them.
   * @throws Error when an entry remains, for instance because another process keeps writing there
   */
  remove(name: string | Buffer): void {
    for (let pass = 1; !this.#removed(name); pass++)
      if (pass === PASSES_MAX)
        throw new Error(`${join(this.path, name.toString())} fills again while it is removed`)
  }

  #removed(name: string | Buffer): boolean {
    if (this.#unlinked(name)) return true
    const folder = this.folder(name)
    if (!folder) return false
    try {
      for (const entry of folder.#entries()) folder.#takeApart(entry)
    } finally {
      folder.close()
    }
    return this.#rmdir(name)
  }

  /** Empties a subdirectory by one level: its own subdirectories move up here, so paths stay short. */
  #takeApart(name: Buffer): void {
    if (this.#unlinked(name)) return
    const folder = this.folder(name)
    if (!folder) return
    try {
      for (const entry of folder.#entries())
        if (!folder.#unlinked(entry)) renameSync(folder.#at(entry), this.#at(`.${randomUUID()}`))
    } finally {
      folder.close()
    }
    this.#rmdir(name)
  }

  /** False: the entry is a directory. */
  #unlinked(name: string | Buffer): boolean {
    try {
      unlinkSync(this.#at(name))
      return true
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return true
      if (this.#lstat(name)?.isDirectory()) return false
      throw error
    }
  }

  /** False: it is not empty, or is no longer a directory. */
  #rmdir(name: string | Buffer): boolean {
    try {
      rmdirSync(this.#at(name))
      return true
    } catch (error) {
      const code = codeOf(error)
      if (code === 'ENOENT') return true
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false
      throw error
    }
  }

  #madeFolder(name: string): FolderHandle {
    try {
      mkdirSync(this.#at(name), { mode: 0o700 })
    } catch (error) {
      if (codeOf(error) !== 'EEXIST')
        throw new NanoclawError(
          'bad_config',
          `Cannot make the folder ${join(this.path, name)}: ${errorText(error)}`,
          { cause: error },
        )
    }
    const folder = this.folder(name)
    if (folder) return folder
    throw new NanoclawError(
      'bad_config',
      `${join(this.path, name)} is not a real folder; move away what is there`,
    )
  }

  /** As bytes: names need not be text. */
  #entries(): Buffer[] {
    return readdirSync(this.#isReachable ? `${this.#descriptors}/${this.#fd}` : this.#checked(), {
      encoding: 'buffer',
    })
  }

  #lstat(name: string | Buffer): Stats | undefined {
    return lstatSync(this.#at(name), { throwIfNoEntry: false })
  }

  #at(name: string | Buffer): string | Buffer {
    const folder = this.#isReachable ? `${this.#descriptors}/${this.#fd}` : this.#checked()
    return typeof name === 'string' ? `${folder}/${name}` : Buffer.concat([Buffer.from(`${folder}/`), name])
  }

  #checked(): string {
    const [held, found] = [fstatSync(this.#fd), statSync(this.path)]
    if (held.ino === found.ino && held.dev === found.dev) return this.path
    throw new Error(`${this.path} has been replaced by another folder`)
  }
}

/** Only the last one stays open. */
function descend(
  dir: string,
  names: readonly string[],
  next: (parent: FolderHandle, name: string) => FolderHandle | undefined,
): FolderHandle | undefined {
  let folder: FolderHandle | undefined = FolderHandle.open(dir)
  for (const name of names) {
    const parent = folder
    try {
      folder = next(parent, name)
    } finally {
      parent.close()
    }
    if (!folder) return undefined
  }
  return folder
}

function cannotOpen(path: string, cause: unknown): NanoclawError {
  return new NanoclawError(
    'bad_config',
    `Cannot open the folder ${path}: ${errorText(cause)}. Expected a folder that uid ${process.getuid?.()} may read.`,
    { cause },
  )
}

const NO_FOLDER: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP'])
/** ENXIO: a socket, or a FIFO. */
const NO_FILE: ReadonlySet<unknown> = new Set(['ENOENT', 'ELOOP', 'ENXIO', 'ENOTDIR'])

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
