// The starter of a bundle in script form (catalog/bundle.ts): it compiles the code beside it with V8's code
// cache, and runs it. Without a cache, or with one of another V8 or other flags, the code is compiled as
// usual, and the cache is written for the next process. V8 checks the version and the length of the cache;
// its bytes are trusted like those of the code. Bundled by itself, as CommonJS.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { constants, Script } from 'node:vm'
import { type Become, NOT_KEPT, PREWARMED } from '../protocol/ipc.ts'

/** By then the functions that a first message needs are compiled, too, and are part of the cache. */
const KEEP_AFTER_MS = 500

/**
 * `starter`: the path of the file that node runs; the code has the same name with `.js` instead of `.cjs`. A
 * prewarmed process (workers/prewarm.ts) runs any function's starter and waits for the path of its bundle.
 */
export function start(starter: string): void {
  if (process.argv[2] !== PREWARMED) return run(starter)
  // A module that `nodeArgs` load may keep the process alive after the runtime has ended.
  const leave = () => process.exit(0)
  process.once('disconnect', leave)
  process.once('message', ({ bundle, setup }: Become) => {
    process.removeListener('disconnect', leave)
    process.argv[2] = JSON.stringify(setup)
    // `ps` shows this bundle instead of the starter.
    process.title = `node ${bundle}`
    if (bundle.endsWith('.cjs')) return run(bundle)
    process.argv[1] = bundle
    return void import(pathToFileURL(bundle).href)
  })
}

function run(starter: string): void {
  const file = starter.replace(/\.cjs$/, '.js')
  const cache = `${file}.cache`
  // Paths that this process reports are those of the code.
  process.argv[1] = file
  const code = readFileSync(file, 'utf8')
  const keeps = !code.startsWith(NOT_KEPT)
  const cachedData = keeps ? read(cache) : undefined
  const script = new Script(code, {
    filename: file,
    cachedData,
    // The bundle itself has no dynamic import (catalog/live-imports.ts). Code that it creates from a string
    // may have one, which Node 20 rejects in a script from V8's cache; for such a bundle no cache is written.
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })
  script.runInThisContext()(createRequire)
  if (keeps && (!cachedData || script.cachedDataRejected))
    setTimeout(() => keep(script, cache), KEEP_AFTER_MS).unref()
}

function read(cache: string): Buffer | undefined {
  try {
    return readFileSync(cache)
  } catch {
    return undefined
  }
}

/**
 * Written under a temporary name and renamed; without a writable cache the next process only starts slower.
 */
function keep(script: Script, cache: string): void {
  // Not by the process id: containers that share a cache have the same ones.
  const draft = `${cache}.${crypto.randomUUID()}.tmp`
  try {
    writeFileSync(draft, script.createCachedData(), { flag: 'wx', flush: true })
    renameSync(draft, cache)
  } catch {
    rmSync(draft, { force: true })
  }
}
