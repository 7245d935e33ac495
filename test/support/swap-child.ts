// What an untrusted container does to a folder that it shares with the host, as fast as it can, until killed:
//   swap <path> <target>    puts a link to the target in the place of a file or folder, and the real one back
//   flood <folder>          writes one more file into it
//   trap <folder> <target>  waits for the folder's first change, then replaces it by a link, once
import { mkdirSync, renameSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [what = '', path = '', target = ''] = process.argv.slice(2)
const aside = `${path}.aside`

/** The host works on the same names: any step may fail, and the next one goes on. */
function attempt(step: () => void): void {
  try {
    step()
  } catch {
    return
  }
}

/** Each state stays for about as long as a host that checks a path takes until it uses it. */
const STATE_NS = 10_000n

function pause(): void {
  const end = process.hrtime.bigint() + STATE_NS
  while (process.hrtime.bigint() < end);
}

function swap(): void {
  attempt(() => renameSync(path, aside))
  attempt(() => symlinkSync(target, path))
  pause()
  attempt(() => unlinkSync(path))
  attempt(() => renameSync(aside, path))
  pause()
}

console.log('ready')
if (what === 'swap') for (;;) swap()
if (what === 'flood')
  for (let n = 0; ; n++) {
    attempt(() => mkdirSync(path))
    attempt(() => writeFileSync(join(path, `flood-${n}`), ''))
  }
if (what === 'trap') {
  const changedAt = () => statSync(path, { bigint: true }).mtimeNs
  const before = changedAt()
  while (changedAt() === before);
  renameSync(path, aside)
  symlinkSync(target, path)
  console.log('swapped')
}
