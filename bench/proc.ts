// What Linux shows of a process in /proc: memory, processor time, children.
import { existsSync, readdirSync, readFileSync } from 'node:fs'

export const HAS_PROC = existsSync('/proc/self/smaps_rollup')

/** Its own share of the memory, in MiB: what it shares with n processes counts as one n-th. */
export function pssMiB(pid: number): number {
  const [, kib] = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Pss: +(\d+) kB/m) ?? []
  return Number(kib) / 1024
}

/** The Node processes that it has started. */
export function nodeChildren(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' '))
    .map(Number)
    .filter(
      (child) => child > 0 && readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith(process.execPath),
    )
}

/** Milliseconds of processor time so far, of all its threads; those that have ended are left out. */
export function cpuMs(pid: number): number {
  const ns = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  )
  return ns.reduce((sum, each) => sum + each, 0) / 1e6
}
