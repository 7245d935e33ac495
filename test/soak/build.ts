// The build that is tested: a copy of dist/, with the packages it needs and with the soak's own entry in
// place of the command. A wrong build is changed as text. The entry is bundled as the build script bundles
// the command, so that it starts as fast.
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { changed, type Variant } from './variants.ts'

const ENTRY = fileURLToPath(new URL('entry.ts', import.meta.url))

/**
 * Puts a build into `folder`, which does not exist yet.
 * @param variant a change that does not fit is an error
 * @returns its entry
 */
export async function copyBuild(repository: string, folder: string, variant?: Variant): Promise<string> {
  mkdirSync(folder)
  for (const part of ['dist', 'package.json'])
    cpSync(join(repository, part), join(folder, part), { recursive: true })
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'))
  if (variant) {
    const path = join(folder, 'dist', variant.file)
    writeFileSync(path, changed(readFileSync(path, 'utf8'), variant))
  }
  return bundleEntry(join(folder, 'dist'), join(folder, 'dist/bin/soak.js'))
}

/**
 * The entry with the compiled runtime in `dist`, as one file that finds its helpers as dist/bin/main.js does.
 * @returns the path of the file
 */
async function bundleEntry(dist: string, outfile: string): Promise<string> {
  await build({
    entryPoints: [ENTRY],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['better-sqlite3', 'esbuild'],
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': '__binUrl' },
    banner: { js: "'use strict'; const __binUrl = require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'warning',
    plugins: [
      {
        name: 'the compiled runtime',
        setup({ onResolve }) {
          onResolve({ filter: /\/runtime\/.*\.ts$/ }, ({ path }) => ({
            path: join(dist, path.replace(/^.*\/runtime\/(.*)\.ts$/, '$1.js')),
          }))
        },
      },
    ],
  })
  return outfile
}
