// `nanoclaw start`: the runtime alone. Log lines as JSON on stderr; nothing on stdout.
import { addExamples, type Define } from './command.ts'
import { addAllSettings, loadSettings } from './settings.ts'

export const define: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw start', 'serve .nanoclaw/ with the functions in functions/'],
    ['nanoclaw start --workspace /workspace', 'serve another folder'],
    ['nanoclaw start --concurrency 8 --timeout 2m', 'more at the same time, longer each'],
  ])
  addAllSettings(command)
  command.addHelpText('after', EXIT_CODES)
  command.action(async (flags: Record<string, unknown>) => {
    const config = await loadSettings(flags, cli)
    const [{ createEvents, createRuntime }, { createLog }, { patientStderr }, { endSoon, serve }] =
      await Promise.all([
        import('../runtime.ts'),
        import('../observe/log.ts'),
        import('./stderr.ts'),
        import('./serve.ts'),
      ])
    const events = createEvents()
    createLog(events, { level: config.logLevel, to: patientStderr() })
    await serve({ runtime: createRuntime(config, events), events }).finally(endSoon)
  })
}

const EXIT_CODES = `
Exit codes: 0 stopped and drained, 1 a bug, 2 wrong usage, 74 stopped, but outbound.db took no
writes, 75 another runtime serves this workspace,
78 wrong configuration. SIGTERM or SIGINT stops it gently, a second one at once.
`
