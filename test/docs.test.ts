// README.md and docs/ as claims about the code: their links lead somewhere, their command lines are legal, their examples
// compile, and no code that somebody may meet is missing from docs/errors.md.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { transformSync } from 'esbuild'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Define } from '../runtime/cli/command.ts'
import { Print } from '../runtime/cli/print.ts'
import { CONFIG_VARIABLE, variableOf } from '../runtime/config/names.ts'
import { SETTING_NAMES } from '../runtime/config/options.ts'
import { MESSAGE_COLUMNS, MESSAGES_IN } from '../runtime/protocol/schema.ts'
import { TRANSITIONS } from '../runtime/queue/message.ts'
import { Session } from '../runtime/store/session.ts'
import { HeadHost } from './stories/hosts/head.ts'
import { tempDir } from './support/files.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

const DECISIONS = readdirSync(join(ROOT, 'docs/decisions')).map((name) => `docs/decisions/${name}`)
const PAGES = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
const FILES = ['README.md', 'CONTRIBUTING.md', ...PAGES.map((name) => `docs/${name}`), ...DECISIONS].filter(
  (file) => existsSync(join(ROOT, file)),
)

describe('links', () => {
  it.each(FILES)('every link in %s leads to a file, and to a heading of it', (file) => {
    const links = [...withoutCode(read(file)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '')
    const broken = links.filter((target) => !/^https?:/.test(target) && !leadsSomewhere(file, target))
    expect(broken).toEqual([])
  })
})

describe('command lines', () => {
  const lines = FILES.flatMap((file) => commandLines(read(file)).map((line) => ({ line, file })))

  it('the docs show some of each command', () => {
    const shown = new Set(lines.map(({ line }) => words(line)[1]))
    expect([...shown]).toEqual(expect.arrayContaining([...commands.keys()]))
  })

  it.each(lines)('$line is legal ($file)', ({ line }) => {
    const [, name, ...argv] = words(line)
    if (name === undefined || name.startsWith('-')) return
    const command = commands.get(name)
    if (!command) return expect.fail(`there is no command ${name}`)
    const { operands, unknown } = command.parseOptions(argv)
    expect(unknown.filter((word) => word !== '-h' && word !== '--help')).toEqual([])
    expect(operands.length).toBeLessThanOrEqual(command.registeredArguments.length)
    // In running text a command may be called by its name alone.
    if (argv.length > 0) {
      const required = command.registeredArguments.filter((argument) => argument.required)
      expect(operands.length).toBeGreaterThanOrEqual(required.length)
    }
  })

  it.each(FILES)('%s names only flags, variables and scripts that exist', (file) => {
    const flags = new Set([...commands.values()].flatMap(({ options }) => options.map(({ long }) => long)))
    const variables = new Set([CONFIG_VARIABLE, ...SETTING_NAMES.map(variableOf)])
    const scripts = Object.keys(JSON.parse(read('package.json')).scripts)
    const text = read(file)
    const namedFlags = [...text.matchAll(/`(--[a-z][a-z-]*[a-z])\b/g)].map(([, flag]) => flag)
    const namedVariables = [...text.matchAll(/\bNANOCLAW_[A-Z_]+\b/g)].map(([name]) => name)
    const namedScripts = [...text.matchAll(/\bnpm run ([\w:]+)/g)].map(([, name]) => name ?? '')
    expect(namedFlags.filter((flag) => !flags.has(flag))).toEqual([])
    expect(namedVariables.filter((name) => !variables.has(name))).toEqual([])
    expect(namedScripts.filter((name) => !scripts.includes(name))).toEqual([])
  })
})

describe('examples', () => {
  it('every TypeScript example compiles, as a file of a project that init makes', () => {
    const project = tempDir()
    const compilerOptions = {
      target: 'es2023',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      types: ['node'],
      paths: {
        'nanoclaw-functions': [join(ROOT, 'runtime/index.ts')],
        'nanoclaw-functions/host': [join(ROOT, 'runtime/host/index.ts')],
        'nanoclaw-functions/supervisor': [join(ROOT, 'runtime/supervisor/index.ts')],
        'nanoclaw-functions/conformance': [join(ROOT, 'runtime/conformance/index.ts')],
        'nanoclaw-functions/runtime': [join(ROOT, 'runtime/runtime.ts')],
        'nanoclaw-functions/store': [join(ROOT, 'runtime/store/index.ts')],
      },
    }
    symlinkSync(join(ROOT, 'node_modules'), join(project, 'node_modules'))
    writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module' }))
    const include = FILES.flatMap((file) => writeExamples(file, project))
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include }))
    expect(include.length).toBeGreaterThan(10)
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', project], { encoding: 'utf8' })
    expect(stdout).toBe('')
    expect(status).toBe(0)
  })
})

describe('docs/store.md', () => {
  it('names every call of a session', () => {
    const calls = Object.getOwnPropertyNames(Session.prototype).filter((name) => name !== 'constructor')
    const page = read('docs/store.md')
    expect(calls.length).toBeGreaterThan(0)
    expect(calls.filter((name) => !new RegExp(`^\\| \`${name}[\`(]`, 'm').test(page))).toEqual([])
  })

  it('its loop answers a host that does not know it, and ends with 0 on SIGTERM', async () => {
    const [project, folder] = [tempDir(), join(tempDir(), 'session')]
    const example = /^```ts\n(\/\/ loop\.ts\n[\s\S]*?)^```/m.exec(read('docs/store.md'))?.[1] ?? ''
    const { code } = transformSync(example, { loader: 'ts', format: 'esm' })
    writeFileSync(join(project, 'loop.mjs'), code)
    mkdirSync(join(project, 'node_modules'))
    symlinkSync(ROOT, join(project, 'node_modules/nanoclaw-functions'))
    let loop: ChildProcess | undefined
    onTestFinished(() => void loop?.kill('SIGKILL'))
    const container = {
      get running() {
        return loop !== undefined
      },
      start: async () =>
        void (loop = spawn(process.execPath, ['loop.mjs', folder], { cwd: project, stdio: 'inherit' })),
      stop: async () => expect.fail('the host has found something wrong with it'),
    }
    const chat = { channel_type: 'slack', platform_id: 'C1', thread_id: null }
    const host = new HeadHost(folder, container, chat)
    for (const text of ['hello', ''])
      host.insert({ id: `said ${text}`, kind: 'chat', content: { text }, ...chat })
    const swept = async () => {
      await host.sweep()
      return host.statuses()
    }
    await expect.poll(swept).toEqual({ completed: ['said ', 'said hello'] })
    host.deliver()
    expect(host.sent.map(({ content }) => content)).toEqual(['{"text":"You said: hello"}'])
    loop!.kill('SIGTERM')
    expect(await once(loop!, 'exit')).toEqual([0, null])
  })
})

describe('codes', () => {
  const explained = read('docs/errors.md')
  const sources: readonly (readonly [what: string, file: string, pattern: RegExp])[] = [
    ['error code', 'runtime/protocol/errors.ts', unionOf('ErrorCode')],
    ['reason of a failure', 'runtime/queue/retry-policy.ts', unionOf('FailReason')],
    ['reason of a release', 'runtime/protocol/outcome.ts', unionOf('CancelReason')],
    ['outcome of a run', 'runtime/protocol/outcome.ts', /readonly type: ('[\w-]+')/g],
    ['reason of a rejection', 'runtime/sources/admission.ts', /\brejected\(\s*('\w+')|reason: ('\w+')/g],
    [
      'outcome or reason that the store writes',
      'runtime/store/sqlite/outbox.ts',
      /('interrupted'|'rejected'|'runtime_died'|'claim_lost')/g,
    ],
    ['exit code', 'runtime/cli/exit.ts', /\bEXIT = \{([^}]*)\}/g],
  ]

  it.each(sources)('docs/errors.md explains every %s', (_what, file, pattern) => {
    const found = [...read(file).matchAll(pattern)].flatMap(
      ([, ...groups]) => groups.join(' ').match(/[\w-]*[a-z][\w-]*|\b\d+\b/g) ?? [],
    )
    expect(found.length).toBeGreaterThan(0)
    expect(
      found.filter((word) => !new RegExp(`(?:^|\\| )\`?${word}\`? \\||\`${word}\``, 'm').test(explained)),
    ).toEqual([])
  })
})

it('docs/architecture.md names everything that ls runtime shows', () => {
  const shown = readdirSync(join(ROOT, 'runtime'), { withFileTypes: true })
  const names = shown.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
  const page = read('docs/architecture.md')
  expect(names.filter((name) => name !== 'tsconfig.json' && !page.includes(`| \`${name}\` |`))).toEqual([])
})

it('docs/architecture.md has a row for each state of a message', () => {
  const rows = [...read('docs/architecture.md').matchAll(/^\| `(\w+)` \| [^|]+ \| [^|]+ \|$/gm)]
  expect(rows.map(([, state]) => state)).toEqual(Object.keys(TRANSITIONS))
})

it('docs/protocol.md has each column of messages_in, and which of them a file must have', () => {
  const table = /^### messages_in$([\s\S]*?)^###? /m.exec(read('docs/protocol.md'))?.[1] ?? ''
  const rows = [...table.matchAll(/^\| ((?:`\w+`(?:, )?)+) \| [^|]+ \| (?:yes|no) \|.*\| ([^|]+) \|$/gm)]
  const columns = rows.flatMap(([, names = '', missing]) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => [name, missing !== 'the file is rejected'] as const),
  )
  const made = MESSAGE_COLUMNS.map((name) => [name, 'missing' in MESSAGES_IN[name]])
  expect(Object.fromEntries(columns)).toEqual(Object.fromEntries(made))
})

it('docs/glossary.md defines the name of each state of a message', () => {
  const words = [...read('docs/glossary.md').matchAll(/\*\*(\w+)\*\*/g)].map(([, word]) => word)
  expect(words).toEqual(expect.arrayContaining(Object.keys(TRANSITIONS)))
})

it.each(['docs/architecture.md', 'docs/glossary.md', 'CONTRIBUTING.md'])(
  'every file that %s names exists',
  (file) => {
    const named = [...read(file).matchAll(/`((?!nanoclaw-functions)(?:[\w.-]+\/)+[\w.-]*)`/g)].map(
      ([, path]) => path ?? '',
    )
    const places = ['', 'runtime', 'runtime/store']
    expect(named.length).toBeGreaterThan(0)
    expect(named.filter((path) => !places.some((place) => existsSync(join(ROOT, place, path))))).toEqual([])
  },
)

it.each(DECISIONS)('%s can be read in a minute', (file) => {
  expect(read(file).trimEnd().split('\n').length).toBeLessThanOrEqual(40)
})

/** Each command as the command line knows it, without its action ever being called. */
const commands = await loadCommands()

async function loadCommands(): Promise<ReadonlyMap<string, Command>> {
  const folder = join(ROOT, 'runtime/cli')
  const print = new Print(process.stdout, process.stderr, {})
  const loaded = new Map<string, Command>()
  for (const file of readdirSync(folder)) {
    if (!readFileSync(join(folder, file), 'utf8').includes('export const define: Define')) continue
    const { define } = (await import(join(folder, file))) as { readonly define: Define }
    const command = new Command(file.replace('.ts', ''))
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
    define(command, { print, cwd: ROOT, env: {} })
    loaded.set(command.name(), command)
  }
  return loaded
}

/** In shell blocks and in running text: from `nanoclaw` to the end of the line, a comment, a pipe or another command. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) =>
    (block ?? '').split('\n'),
  )
  const spans = [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, span]) => span ?? '')
  return [...blocks, ...spans].flatMap((line) => {
    const command = /^(?:npx )?(nanoclaw(?: .*)?)$/.exec(line.trim())?.[1]
    return command === undefined ? [] : [command.split(/ [#|]| && /)[0]!.trim()]
  })
}

/** As a shell would, as far as the docs need it. */
function words(line: string): string[] {
  return (line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^(['"])(.*)\1$/, '$2'))
}

/** Each TypeScript block as a file: where its first line says, or under a name of its own. Returns the files. */
function writeExamples(file: string, project: string): string[] {
  const place = file.replace(/\W/g, '-')
  return [...read(file).matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = ''], at) => {
    const said = /^\/\/ (\S+\.ts)\n/.exec(code)?.[1]
    const unique = said !== undefined && !existsSync(join(project, place, said))
    const path = join(project, place, unique ? said : `example-${at}.ts`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, code)
    return relative(project, path)
  })
}

function leadsSomewhere(from: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? join(ROOT, from) : join(ROOT, dirname(from), path)
  if (!existsSync(file)) return false
  if (anchor === undefined) return true
  return statSync(file).isFile() && headings(readFileSync(file, 'utf8')).includes(anchor)
}

/** As GitHub names them. */
function headings(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
}

function withoutCode(text: string): string {
  return withoutBlocks(text).replace(/`[^`\n]*`/g, '``')
}

function withoutBlocks(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '')
}

/** The members of a union of texts. */
function unionOf(name: string): RegExp {
  return new RegExp(`^export type ${name} =((?:\\s*\\|?\\s*'[\\w-]+')+)`, 'gm')
}
