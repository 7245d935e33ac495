// Processes of this machine that belong to one lane of the soak, known by a variable that every worker and
// whatever it starts inherits, and the runtime that they come from. Linux only: elsewhere nothing is found.
import { readdirSync, readFileSync } from 'node:fs'

export interface Found {
  readonly pid: number
  /** Pid of the runtime that it comes from, which may be dead. */
  readonly life: number
  readonly command: string
  /** One of the runtime's own processes, not what a handler has started in it. */
  readonly isWorker: boolean
}

/** Zombies have no environment any more, and do not count. */
export function processesOf(lane: string): Found[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const environment = read(`/proc/${name}/environ`).split('\0')
      if (!environment.includes(`NANOCLAW_SOAK_LANE=${lane}`)) return []
      const command = read(`/proc/${name}/cmdline`).split('\0').join(' ').trim()
      const isWorker = command.includes('functionName')
      // A worker has its parent as an argument, and a handler gives that number to its grandchild.
      const life = isWorker
        ? /"parent":(\d+)/.exec(command)?.[1]
        : environment.find((each) => each.startsWith('NANOCLAW_SOAK_LIFE='))?.split('=')[1]
      return [{ pid: Number(name), life: Number(life), command, isWorker }]
    })
}

/** Resident memory and open descriptors; undefined when the process is gone. */
export function sizeOf(
  pid: number,
): { readonly megabytes: number; readonly descriptors: number } | undefined {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]
  if (kilobytes === undefined) return undefined
  try {
    return { megabytes: Number(kilobytes) / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length }
  } catch {
    return undefined
  }
}

/** A process may end while it is read. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
