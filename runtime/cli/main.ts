#!/usr/bin/env node
// The command `nanoclaw`: the list of commands, and the exit code. Only the file of the requested command is
// loaded, so that `send` does not pay for `start`. Nothing else in the project prints, reads argv or ends the
// process.
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
    summary: 'create a new project',
    load: async () => (await import('./init.ts')).defineInit,
  },
  {
    name: 'dev',
    summary: 'run the functions, reload them on change, print events',
    load: async () => (await import('./dev.ts')).defineDev,
  },
  {
    name: 'start',
    summary: 'run the functions for a host that is another program',
    load: async () => (await import('./start.ts')).defineStart,
  },
  {
    name: 'send',
    summary: 'put a message into inbound.db',
    load: async () => (await import('./send.ts')).defineSend,
  },
  {
    name: 'status',
    summary: 'queue counts, recent failures and runtime state',
    load: async () => (await import('./status.ts')).defineStatus,
  },
  {
    name: 'show',
    summary: 'one message: its row, runs and replies',
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

// Without await: the build makes CommonJS of this, which node starts sooner. Until it has ended, the exit
// code is Node's code for an unsettled await: a stop that hangs is not a success.
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

/** Accepts `help`, `help send` and `version` as words. */
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
