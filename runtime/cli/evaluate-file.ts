// Evaluates a config file in TypeScript or JavaScript in a process of its own: user code never runs in this
// process.
import { Bundler } from '../catalog/bundle.ts'
import { realClock } from '../protocol/clock.ts'
import { evaluate } from '../workers/evaluate.ts'

/** The default export of a config file, evaluated in a process of its own. */
export async function evaluateFile(path: string, root: string, cache: string): Promise<unknown> {
  const bundler = new Bundler()
  try {
    const bundle = await bundler.config(path, { cache, root })
    return await evaluate(bundle.path, root, process.env, realClock)
  } finally {
    await bundler.release()
  }
}
