// The table of settings as docs/config.md shows it, made from the one table so that it cannot say anything else.
import { FILES } from '../protocol/files.ts'
import { flagOf, PATH_VARIABLES, variableOf } from './names.ts'
import { SETTING_NAMES, SETTINGS, type SettingName } from './options.ts'
import type { Setting } from './setting.ts'

/** Markdown; the same on every machine. */
export function renderSettings(): string {
  const rows = SETTING_NAMES.map(row)
  const head = ['Setting', 'Flag', 'Variable', 'Default', 'What it is', 'Legal values', 'Why this default']
  return [line(head), line(head.map(() => '---')), ...rows, '', ...pathRows()].join('\n')
}

function row(name: SettingName): string {
  const { kind, fallback, help, why }: Setting = SETTINGS[name]
  const shownDefault = fallback === '' ? 'none' : code(JSON.stringify(fallback).replaceAll('"', "'"))
  return line([code(name), code(flagOf(name)), code(variableOf(name)), shownDefault, help, kind.legal, why])
}

function pathRows(): string[] {
  const head = ['Variable', 'Overrides the path of', 'Default']
  const rows = (['inbound', 'outbound', 'heartbeat'] as const).map((name) => {
    return line([code(PATH_VARIABLES[name]), FILES[name], `${code(FILES[name])} in the workspace`])
  })
  return [line(head), line(head.map(() => '---')), ...rows]
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function code(text: string): string {
  return `\`${text}\``
}
