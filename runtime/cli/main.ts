#!/usr/bin/env node
// The command `nanoclaw`: which commands there are, and how each run ends. A command's own file is loaded only when it is
// the one that was asked for, so that `send` does not pay for `start`. Nothing else in the project prints, reads argv or
// ends the process.
import { Command } from 'commander'
import { errorText } from '../protocol/errors.ts'
import { addLegalUsage, type Cli, type Define } from './command.ts'
import { CommandFailed, commandExitCode, EXIT, printError } from './exit.ts'
import { ownVersion } from './own-package.ts'
import { Print } from './print.ts'
import { outliveScreens } from './screen.ts'

interface Entry {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<Define>
}

const COMMANDS: readonly Entry[] = [
  {
    name: 'init',
    summary: 'make a folder that works at once',
    load: async () => (await import('./init.ts')).defineInit,
  },
  {
    name: 'dev',
    summary: 'run the functions here, reload them on change, show what happens',
    load: async () => (await import('./dev.ts')).defineDev,
  },
  {
    name: 'start',
    summary: 'run the functions; the host is another program',
    load: async () => (await import('./start.ts')).defineStart,
  },
  {
    name: 'send',
    summary: 'put a message into inbound.db',
    load: async () => (await import('./send.ts')).defineSend,
  },
  {
    name: 'status',
    summary: 'what waits, runs, has ended, has failed',
    load: async () => (await import('./status.ts')).defineStatus,
  },
  {
    name: 'show',
    summary: 'everything about one message',
    load: async () => (await import('./show.ts')).defineShow,
  },
  {
    name: 'conform',
    summary: 'check the rules of the two files: of a folder, or of a runtime',
    load: async () => (await import('./conform.ts')).defineConform,
  },
]

const UNSETTLED = 13
const FIRST_STEPS = `First steps:
  $ nanoclaw init my-project && cd my-project && npm install
  $ nanoclaw dev
  $ nanoclaw send chat hello --wait      (in another terminal)
`

// Without await: the build makes CommonJS of this, which node starts sooner. Until it has ended, the code is the one that
// Node ends with when an await is never settled: a stop that hangs is no success.
process.exitCode = UNSETTLED
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})

async function main(argv: readonly string[]): Promise<number> {
  const screens = outliveScreens()
  const print = new Print(process.stdout, process.stderr, process.env)
  try {
    const meant = asFlags(argv)
    const program = await build(meant, { print, cwd: process.cwd(), env: process.env })
    await program.parseAsync(meant, { from: 'user' })
    const lost = await screens.lost()
    if (lost) throw new CommandFailed(`Not everything could be printed: ${errorText(lost)}`)
    return EXIT.ok
  } catch (error) {
    printError(error, print)
    return commandExitCode(error)
  }
}

/** `help`, `help send` and `version` are what people type before they know better. */
function asFlags(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv
  if (first === 'help') return [...rest, '--help']
  return first === 'version' ? ['--version', ...rest] : argv
}

async function build(argv: readonly string[], cli: Cli): Promise<Command> {
  const program = new Command('nanoclaw')
    .description('Runs your functions on messages from inbound.db and writes their replies to outbound.db.')
    .version(ownVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .exitOverride()
  const asked = COMMANDS.find(({ name }) => name === argv.find((word) => !word.startsWith('-')))
  for (const entry of COMMANDS) {
    const command = program.command(entry.name).description(entry.summary)
    if (entry !== asked) continue
    const define = await entry.load()
    define(command, cli)
    addLegalUsage(command, `nanoclaw ${entry.name}`)
  }
  addLegalUsage(program, 'nanoclaw')
  program.addHelpText('before', FIRST_STEPS)
  return program
}
