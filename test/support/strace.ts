// Failures that a disk gives, put into a real process: strace lets the n-th call of a kind on outbound.db or its journal
// fail. Only where strace is there and may trace.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** `when` as strace has it: `5` the fifth call, `5+3` every third from the fifth on. */
export interface Injection {
  readonly call: string
  readonly error: string
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
    ...['strace', '-f', '--seccomp-bpf', '-qqq', '-o', log, '-P', outbound, '-P', `${outbound}-journal`],
    ...['-e', `trace=${calls}`, '-e', 'signal=none'],
    ...injections.flatMap(({ call, error, when }) => ['-e', `inject=${call}:error=${error}:when=${when}`]),
  ]
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
