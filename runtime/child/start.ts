// What node runs of a bundle in script form (catalog/bundle.ts): it compiles the code beside it with the help of what V8 kept
// of an earlier compilation, and runs it. Without such a cache, or with one that another V8 or other flags have made, the
// code is compiled as usual, and what came of that is kept for the next process. V8 checks who made it, and that it is whole;
// single bytes are believed, as those of the code are. Bundled by itself, as CommonJS.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { constants, Script } from 'node:vm'
import { type Become, NOT_KEPT, PREWARMED } from '../protocol/ipc.ts'

/** By then the functions that a first message needs have been compiled, too, and belong to what is kept. */
const KEEP_AFTER_MS = 500

/**
 * `starter`: the path of the file that node was told to run, which becomes this; `.js` in place of its `.cjs` is the code.
 * In a prewarmed process (workers/prewarm.ts) it is any function's starter, and waits to be told whose code is to be run.
 */
export function start(starter: string): void {
  if (process.argv[2] !== PREWARMED) return run(starter)
  // A module that `nodeArgs` load may keep the process going, whatever becomes of the runtime.
  const leave = () => process.exit(0)
  process.once('disconnect', leave)
  process.once('message', ({ bundle, setup }: Become) => {
    process.removeListener('disconnect', leave)
    process.argv[2] = JSON.stringify(setup)
    // So that `ps` names this bundle, and not the starter that it began with.
    process.title = `node ${bundle}`
    if (bundle.endsWith('.cjs')) return run(bundle)
    process.argv[1] = bundle
    return void import(pathToFileURL(bundle).href)
  })
}

function run(starter: string): void {
  const file = starter.replace(/\.cjs$/, '.js')
  const cache = `${file}.cache`
  // Whatever this process says of itself is about the code.
  process.argv[1] = file
  const code = readFileSync(file, 'utf8')
  const keeps = !code.startsWith(NOT_KEPT)
  const cachedData = keeps ? read(cache) : undefined
  const script = new Script(code, {
    filename: file,
    cachedData,
    // The bundle has no import of its own (catalog/live-imports.ts). Code that it makes of a text may have one, and Node 20
    // refuses that where the script is from V8's cache; such a bundle is one of which nothing is kept.
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

/** Never half of it under its name; a cache folder that takes no files costs the next process some time, nothing else. */
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
