// `nanoclaw start` with failpoints: the same parts as runtime/cli/start.ts, made for one folder, and a process that ends itself at a
// named place. Arguments: the flags as JSON (as commander names them), and `point:nth`, or nothing.
import { exitCodeOf, lastWords } from '../../runtime/cli/exit.ts'
import { Print } from '../../runtime/cli/print.ts'
import { endSoon, serve } from '../../runtime/cli/serve.ts'
import { loadSettings } from '../../runtime/cli/settings.ts'
import { patientStderr } from '../../runtime/cli/stderr.ts'
import { createLog } from '../../runtime/observe/log.ts'
import { createEvents, createRuntime } from '../../runtime/runtime.ts'
import { failpoints } from './failpoints.ts'

void start(process.argv[2] ?? '{}', process.argv[3]).catch((error: unknown) => {
  lastWords(error, new Print(process.stdout, process.stderr, process.env))
  process.exitCode = exitCodeOf(error)
})

async function start(flags: string, crashAt: string | undefined): Promise<void> {
  const config = await loadSettings(JSON.parse(flags), { cwd: process.cwd(), env: process.env })
  const events = createEvents()
  createLog(events, { level: config.logLevel, to: patientStderr(), several: false })
  const options = crashAt === undefined ? {} : { failpoints: failpoints(crashAt) }
  await serve({ runtime: createRuntime(config, events, options), events }).finally(endSoon)
}
