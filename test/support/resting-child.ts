// `nanoclaw start` for several folders that come to rest soon: the same parts as runtime/cli/start.ts.
// Arguments: when they do as JSON, and their paths.

import { endSoon, serveUntilStopped } from '../../runtime/cli/serve.ts'
import { loadSettings } from '../../runtime/cli/settings.ts'
import { retryingStderr } from '../../runtime/cli/stderr.ts'
import { placeOf } from '../../runtime/config/load.ts'
import { createLog } from '../../runtime/observe/log.ts'
import { createEvents, createRuntime } from '../../runtime/runtime.ts'

const [times = '', ...folders] = process.argv.slice(2)
const { env } = process
const config = await loadSettings({ workspace: folders[0] }, { cwd: process.cwd(), env })
const events = createEvents()
createLog(events, { level: config.logLevel, to: retryingStderr(), several: true })
const workspaces = folders.map((folder) => placeOf(folder, env))
const runtime = createRuntime(config, events, { workspaces, rest: JSON.parse(times) })
await serveUntilStopped({ runtime, events }).finally(endSoon)
