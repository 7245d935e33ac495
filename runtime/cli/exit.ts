// Exit codes and final error messages of all commands.
import { CommanderError } from 'commander'
import { ConfigError } from '../config/load.ts'
import { errorInfo, NanoclawError } from '../protocol/errors.ts'
import { type Print, plainLines } from './print.ts'

/** Codes of sysexits.h where it has one; they are part of the interface. */
export const EXIT = { ok: 0, bug: 1, usage: 2, unwritten: 74, locked: 75, configuration: 78 } as const

/** A command that failed without a NanoclawError: a message for the user and an exit code. */
export class CommandFailed extends Error {
  override readonly name = 'Refused'
  readonly exitCode: number
  constructor(message: string, exitCode: number = EXIT.bug) {
    super(message)
    this.exitCode = exitCode
  }
}

export function commandExitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (error instanceof CommandFailed) return error.exitCode
  // An illegal flag is a usage error; an illegal value in a file or a variable is a configuration error.
  if (error instanceof ConfigError && error.faults.every(({ source }) => source === 'flag')) return EXIT.usage
  return error instanceof NanoclawError ? codeOf(error.code) : EXIT.bug
}

function codeOf(code: NanoclawError['code']): number {
  switch (code) {
    case 'bad_usage':
    case 'bad_message':
      return EXIT.usage
    case 'locked':
    case 'fenced':
      return EXIT.locked
    case 'bad_config':
    case 'bad_function':
    case 'outbound_unusable':
    case 'inbound_unusable':
      return EXIT.configuration
    case 'not_readable_yet':
      return EXIT.bug
    default:
      return code satisfies never
  }
}

/** Commander has printed its own errors already; a bug is printed with its stack. */
export function printError(error: unknown, print: Print): void {
  if (error instanceof CommanderError) return
  if (error instanceof NanoclawError || error instanceof CommandFailed) {
    print.talk(
      ...plainLines(error.message, 100, 2_000).map((line, at) =>
        at === 0 ? print.paintTalk('red', line) : line,
      ),
    )
    return
  }
  const { name, message, stack } = errorInfo(error)
  const head = print.paintTalk('red', 'This is a bug in nanoclaw. Please report it with the lines below.')
  print.talk(head, ...plainLines(stack ?? `${name}: ${message}`, 40, 500))
}
