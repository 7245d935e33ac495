// Untrusted names that become part of a path: message ids, file names. Only a plain name may be joined to a
// directory; folder-handle.ts checks it.

/** The limit of every file system in use. */
export const NAME_BYTES_MAX = 255

/** A plain name: no separator, no NUL, not `.` or `..`. */
export function isPlainName(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    !/[/\\\0]/.test(name) &&
    Buffer.byteLength(name) <= NAME_BYTES_MAX
  )
}
