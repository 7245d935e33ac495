// What a disk can do to a real process: strace lets the n-th call of a kind on outbound.db or its journal
// fail, or kills the process in place of it. Only where strace is there and may trace.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface Injection {
  readonly call: string
  /** The name of an error, or SIGKILL: the process dies, and the call is not made. */
  readonly failure: string
  /** As strace has it: `5` the fifth call, `5+3` every third from the fifth on. */
  readonly when: string
}

export function canTrace(): boolean {
  if (process.platform !== 'linux') return false
  return spawnSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0
}

/** What to put before a command. `log`: where strace writes what it saw. */
export function tracer(outbound: string, injections: readonly Injection[], log: string): string[] {
  const calls = [...new Set([...injections.map(({ call }) => call), 'fsync'])].join()
  return [
    ...['strace', '-f', '-qqq', '-o', log, '-P', outbound, '-P', `${outbound}-journal`],
    // The faster way of tracing swallows signals (strace 6.1).
    ...(injections.some(kills) ? [] : ['--seccomp-bpf']),
    ...['-e', `trace=${calls}`, '-e', 'signal=none'],
    ...injections.flatMap((injection) => {
      const { call, failure, when } = injection
      return ['-e', `inject=${call}:${kills(injection) ? 'signal' : 'error'}=${failure}:when=${when}`]
    }),
  ]
}

function kills({ failure }: Injection): boolean {
  return failure === 'SIGKILL'
}

/** strace lets no signal through, and what it traces outlives it. */
export function signalTraced(strace: number, signal: NodeJS.Signals): void {
  try {
    for (const pid of readFileSync(`/proc/${strace}/task/${strace}/children`, 'utf8').trim().split(' '))
      process.kill(Number(pid), signal)
  } catch {
    // Both have ended.
  }
}
