// The build that is tested: a copy of dist/, untouched, with the packages it needs. A start is what a round consists of for
// the most part, and of a start a third is the reading of execa's hundred files: here they are one.
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { Variant } from './variants.ts'

const PACKED = 'execa'

/** Puts a build into `folder`, which does not exist yet. @returns `folder` */
export async function copyBuild(repository: string, folder: string): Promise<string> {
  mkdirSync(folder)
  cpSync(join(repository, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(join(repository, 'package.json'), join(folder, 'package.json'))
  const [from, to] = [repository, folder].map((each) => join(each, 'node_modules')) as [string, string]
  mkdirSync(to)
  for (const name of readdirSync(from)) if (name !== PACKED) symlinkSync(join(from, name), join(to, name))
  const { version } = JSON.parse(readFileSync(join(from, PACKED, 'package.json'), 'utf8')) as {
    version: string
  }
  mkdirSync(join(to, PACKED))
  writeFileSync(
    join(to, PACKED, 'package.json'),
    JSON.stringify({ name: PACKED, version, type: 'module', exports: './index.js' }),
  )
  await build({
    entryPoints: [join(from, PACKED, 'index.js')],
    outfile: join(to, PACKED, 'index.js'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // Some of what it brings along is CommonJS and asks for node's own modules.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
  })
  return folder
}

/** Changes the copy; a change that does not fit is an error. */
export function changeBuild(folder: string, { name, changes }: Variant): void {
  const path = join(folder, 'dist/store/outbox.js')
  let text = readFileSync(path, 'utf8')
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2)
      throw new Error(
        `${name}: dist/store/outbox.js has no such place (or several); mend test/soak/variants.ts:\n${from}`,
      )
    text = text.replace(from, () => to)
  }
  writeFileSync(path, text)
}
