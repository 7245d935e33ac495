// A message that is sent once more by hand has the id of the old one with something new behind it, so that
// both sides of the files know where it comes from: the host that makes it, and the runtime, which goes on
// with what the failed one has done.

const MARK = '.redrive-'

/** `unique`: never used before, in whatever file. */
export function redriveId(id: string, unique: string): string {
  return `${id}${MARK}${unique}`
}

/** undefined: the message is not one that was sent once more. */
export function redrivenFrom(id: string): string | undefined {
  const at = id.lastIndexOf(MARK)
  return at > 0 ? id.slice(0, at) : undefined
}
