// The child that evaluates nanoclaw.config.ts, bundled together with it: the config is user code, so it runs
// in a process of its own, which sends one report over its channel and ends. It prints nothing.
import { type ErrorInfo, errorInfo } from '../protocol/errors.ts'
import { type SendReport, takeSend } from './channel.ts'
import { mapStacks } from './stack.ts'

export type ConfigReport =
  | { readonly type: 'value'; readonly value: unknown }
  | { readonly type: 'error'; readonly error: ErrorInfo }

/** Loads the config, reports it to the parent (if there is one) and ends the process. */
export function reportConfig(file: string, load: () => Promise<Record<string, unknown>>): void {
  const send = takeSend()
  mapStacks(process.argv[1] ?? '')
  const tell = (report: ConfigReport) => leave(report, send)
  process.once('beforeExit', () =>
    tell(failed(new Error(`${file} never finishes loading: a promise that it waits for does not settle`))),
  )
  read(file, load).then(tell, (error) => tell(failed(error)))
}

async function read(file: string, load: () => Promise<Record<string, unknown>>): Promise<ConfigReport> {
  const config = await (await load()).default
  if (config === undefined)
    throw new Error(`${file} has no default export; write: export default defineConfig({ … })`)
  return { type: 'value', value: JSON.parse(JSON.stringify(config, sayable)) }
}

/**
 * Replaces values that JSON would drop or change by a description, so that the check of the options can name
 * them.
 */
function sayable(_key: string, value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint')
    return `[${typeof value}]`
  if (typeof value === 'number' && !Number.isFinite(value)) return `[${value}]`
  return value instanceof RegExp ? '[RegExp]' : value
}

function failed(error: unknown): ConfigReport {
  return { type: 'error', error: errorInfo(error) }
}

/** Exits explicitly: a timer or a connection that the config opened would keep the process alive. */
function leave(report: ConfigReport, send: SendReport | undefined): void {
  if (send) send(report, () => process.exit(0))
  else process.exit(report.type === 'value' ? 0 : 1)
}
