// Cuts a list of events that fails down to one from which nothing can be left out, or as far as its time allows.

/** @param fails whether a list still does; asked often */
export async function shrink<T>(
  list: readonly T[],
  fails: (list: readonly T[]) => Promise<boolean>,
  deadlineMs: number,
): Promise<readonly T[]> {
  const endMs = performance.now() + deadlineMs
  let rest = list
  for (let size = Math.ceil(list.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let again = true; again; ) {
      again = false
      for (let at = 0; at < rest.length; ) {
        if (performance.now() > endMs) return rest
        const fewer = [...rest.slice(0, at), ...rest.slice(at + size)]
        if (await fails(fewer)) {
          rest = fewer
          again = size === 1
        } else at += size
      }
    }
  return rest
}
