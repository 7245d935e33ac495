// stdout, stderr and the terminal behind them may go while the process works: a pipe's reader ends (EPIPE), a terminal is
// closed (EIO), a disk is full (ENOSPC). That ends nothing; a closed terminal also sends SIGHUP, which serve.ts answers.
import { closeSync, openSync } from 'node:fs'
import { isatty } from 'node:tty'

const STANDARD = [0, 1, 2] as const
/** The reader is gone: of a pipe, a terminal, a socket. */
const READER_GONE: readonly (string | undefined)[] = ['EPIPE', 'EIO', 'ECONNRESET']

export interface Screens {
  /** Why stdout lacks something that its reader waits for; undefined: it has everything, or has no reader. */
  lost(): Promise<Error | undefined>
}

/** Call it before anything is printed. */
export function outliveScreens(): Screens {
  let lost: Error | undefined
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (!READER_GONE.includes(error.code)) lost ??= error
  })
  const terminals = STANDARD.filter((fd) => isatty(fd))
  // At its exit Node gives each terminal back as it found it, and aborts (SIGABRT) where the terminal is gone. A descriptor
  // that has become another file is left alone.
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
