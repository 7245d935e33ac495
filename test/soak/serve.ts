// The far side of peer.ts: a process that answers calls, one after the other, until its parent is gone.

export type Call = { readonly n: number; readonly method: string; readonly argument: unknown }
export type Answer =
  | { readonly n: number; readonly value: unknown }
  | { readonly n: number; readonly error: string }

/** @param methods each takes one argument and returns what JSON can say, or a promise of it */
export function serveCalls(methods: Readonly<Record<string, (argument: any) => unknown>>): void {
  const send = (answer: Answer) => process.send?.(answer)
  let last: Promise<unknown> = Promise.resolve()
  process.on('disconnect', () => process.exit(0))
  process.on('message', ({ n, method, argument }: Call) => {
    last = last.then(async () => {
      try {
        send({ n, value: await methods[method]?.(argument) })
      } catch (error) {
        send({ n, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
      }
    })
  })
}
