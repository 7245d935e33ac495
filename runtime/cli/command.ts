// The contract of a command file: it exports `defineX(command, cli)`, which adds arguments, flags, help and
// action. Heavy modules are imported inside the action.
import type { Command } from 'commander'
import type { Print } from './print.ts'

export interface Cli {
  readonly print: Print
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export type Define = (command: Command, cli: Cli) => void

/** Puts examples at the top of the help. */
export function addExamples(
  command: Command,
  examples: readonly (readonly [line: string, what: string])[],
): void {
  const width = Math.max(...examples.map(([line]) => line.length))
  const lines = examples.map(([line, what]) => `  $ ${line.padEnd(width)}   ${what}`)
  command.addHelpText('before', ['Examples:', ...lines, ''].join('\n'))
}

/** After a usage error: the legal usage in a few lines. */
export function addLegalUsage(command: Command, path: string): void {
  const flags = command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []))
  const names = command.commands.map((each) => each.name())
  const told = [
    `Usage: ${path} ${command.usage()}`,
    ...(names.length > 0 ? [`Commands: ${names.join(', ')}`] : []),
    ...(flags.length > 0 ? [`Options: ${flags.join(', ')}`] : []),
    `More: ${path} --help`,
  ]
  command.showHelpAfterError(told.join('\n'))
}
