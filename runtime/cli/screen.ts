// stdout, stderr and their terminal may fail while the process runs: a pipe's reader ends (EPIPE), a terminal
// is closed (EIO), a disk is full (ENOSPC). The process continues; a closed terminal also sends SIGHUP, which
// serve.ts handles.
import { closeSync, openSync } from 'node:fs'
import { isatty } from 'node:tty'

const STANDARD = [0, 1, 2] as const
/** The reader of a pipe, terminal or socket has closed it. */
const READER_GONE: readonly (string | undefined)[] = ['EPIPE', 'EIO', 'ECONNRESET']

export interface Screens {
  /**
   * The error after which stdout lacks data for its reader; undefined: all data was written, or the reader
   * has closed it.
   */
  lost(): Promise<Error | undefined>
}

/** Call it before the first output. */
export function outliveScreens(): Screens {
  let lost: Error | undefined
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (!READER_GONE.includes(error.code)) lost ??= error
  })
  const terminals = STANDARD.filter((fd) => isatty(fd))
  // At its exit Node restores the mode of each terminal, and aborts (SIGABRT) where the terminal is closed.
  // It skips a descriptor that is another file by then.
  process.on('exit', () => {
    for (const fd of terminals) if (!isatty(fd)) replace(fd)
  })
  return {
    async lost() {
      await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
      return lost
    },
  }
}

/** The lowest free descriptor is the one just closed. */
function replace(fd: number): void {
  closeSync(fd)
  openSync('/dev/null', 'r+')
}
