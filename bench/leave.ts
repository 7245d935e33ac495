// Nothing of a benchmark outlives it, also when a signal ends it in the middle: processes, folders.
const left = new Set<() => void>()

/** Called when this process ends; the function that is returned takes it back. */
export function atEnd(clean: () => void): () => void {
  if (left.size === 0) listen()
  left.add(clean)
  return () => left.delete(clean)
}

let listening = false

function listen(): void {
  if (listening) return
  listening = true
  process.once('exit', () => {
    for (const clean of left) clean()
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}
