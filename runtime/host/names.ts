// Names that come from outside and become part of a path: ids of messages, names of files. Only a plain name is ever joined
// to a folder; folder-handle.ts uses it.

/** What every file system in use takes. */
export const NAME_BYTES_MAX = 255

/** A name that stays in its folder: no separator, no NUL, not `.` or `..`. */
export function isPlainName(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    !/[/\\\0]/.test(name) &&
    Buffer.byteLength(name) <= NAME_BYTES_MAX
  )
}
