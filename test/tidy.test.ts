// The house rules as a test. The rules are the data at the top; the checks below only apply them. A rule that
// is broken says where, which one and what to do. An exception has a line in EXCEPTIONS with its reason, and
// goes when it is not needed any more: one that fits nothing fails, too.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Ban, type Exception, type Explained, type Foreign, Tidy } from './support/tidy.ts'

/**
 * Who may import whom. A room is a folder of runtime/, or a loose file in it. Inside a room everything goes.
 * `store/host-*` stands for those files alone; `execute (types)` for what the compiler erases.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  // The two files as both sides see them, time, and errors: everything may know these.
  protocol: [],
  'folder.ts': ['protocol'],
  // In memory: the states of messages, order, time.
  queue: ['protocol'],
  // One floor: these do not know each other.
  store: ['protocol'],
  sources: ['protocol', 'queue'],
  workers: ['protocol', 'queue/scheduler.ts (types)', 'queue/workers.ts (types)'],
  catalog: ['protocol', 'config/options.ts (types)'],
  config: ['protocol'],
  observe: ['protocol'],
  watch: ['protocol'],
  // The loop joins them through the ports that they fill.
  'dispatcher.ts': ['protocol', 'queue', 'store/store.ts (types)', 'store/commit-retry.ts'],
  // Types alone, which tests fill.
  'failpoints.ts': ['queue/workers.ts (types)', 'sources/inbound.ts (types)', 'store/store.ts (types)'],
  // The other side of the two files.
  host: ['protocol', 'folder.ts', 'queue/retry-policy.ts', 'store/sqlite/*'],
  supervisor: ['protocol', 'host', 'store/sqlite/*', 'workers/process-group.ts'],
  // Both sides, checked from outside.
  conformance: ['protocol', 'store/sqlite/*', 'host/sqlite/*', 'workers/process-group.ts'],
  // The far side of the pipe, and what is bundled into every function.
  child: ['protocol'],
  'index.ts': ['protocol', 'config (types)'],
  // The order of the turns of several dispatchers; one folder.
  'turns.ts': ['protocol'],
  'workspace.ts': [
    'protocol',
    'catalog/catalog.ts (types)',
    'config/options.ts (types)',
    'dispatcher.ts',
    'failpoints.ts (types)',
    'folder.ts',
    'observe',
    'queue',
    'sources',
    'store',
    'turns.ts (types)',
    'watch',
  ],
  // The composition root, and the commands.
  'runtime.ts': ['*'],
  cli: ['*'],
}

/**
 * Each package, and each of node's heavy modules, enters in one place. Nothing that is not listed enters at
 * all.
 */
const ONE_PLACE: Readonly<Record<string, readonly string[]>> = {
  'better-sqlite3': ['runtime/store/'],
  esbuild: ['runtime/catalog/build.ts'],
  pino: ['runtime/observe/'],
  chokidar: ['runtime/watch/'],
  commander: ['runtime/cli/'],
  croner: ['runtime/protocol/cron.ts'],
  execa: ['runtime/workers/process-group.ts'],
  // Types alone: execa starts the processes.
  'node:child_process': ['runtime/workers/process-group.ts'],
  // Only for the thread that watches whether the parent lives.
  'node:worker_threads': ['runtime/child/main.ts'],
  'node:cluster': [],
  'node:sqlite': [],
  'node:timers': [],
  'node:timers/promises': [],
}

/** Files without an importer that are in use. */
const ENTRIES: Readonly<Record<string, string>> = {
  'runtime/index.ts': 'package export "."',
  'runtime/runtime.ts': 'package export "./runtime"',
  'runtime/host/index.ts': 'package export "./host"',
  'runtime/supervisor/index.ts': 'package export "./supervisor"',
  'runtime/conformance/index.ts': 'package export "./conformance"',
  'runtime/store/index.ts': 'package export "./store"',
  'runtime/cli/main.ts': 'the command',
  'runtime/child/main.ts': 'bundled by path into every function',
  'runtime/child/start.ts': 'bundled by path, runs a bundle that is a script',
  'runtime/child/config.ts': 'bundled by path with nanoclaw.config.ts',
  'runtime/conformance/dying-host.ts': 'a process of its own, started by path',
  'test/support/properties.ts': 'run by vitest before each test file',
}

/** Files of the runtime that do not run in the runtime's own process. */
const FAR_SIDE = ['runtime/child/', 'runtime/conformance/dying-host.ts']

const BANS: readonly Ban[] = [
  {
    rule: 'one way to read a time',
    pattern: /\bDate\.parse\b|\bnew Date\(\s*['"`]/g,
    text: 'code',
    in: ['runtime/', 'functions/'],
    except: [],
    remedy: 'use parseTime of protocol/time.ts: Date takes a time without a zone for local time',
  },
  {
    rule: 'time comes from a Clock',
    pattern:
      /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bprocess\.hrtime\b|\b(?:setTimeout|setInterval|setImmediate)\(/g,
    text: 'code',
    in: ['runtime/'],
    except: ['runtime/protocol/clock.ts', ...FAR_SIDE],
    remedy: 'take a Clock through the constructor, so that a test can own time',
  },
  {
    rule: 'only cli/ prints and exits',
    pattern: /\bprocess\.(?:exit|exitCode|abort|reallyExit|stdout|stderr)\b|\bconsole\./g,
    text: 'code',
    in: ['runtime/'],
    except: ['runtime/cli/', ...FAR_SIDE],
    remedy: 'emit an event (protocol/events.ts), or throw a NanoclawError and let cli/ end the process',
  },
  {
    rule: 'no variable switches what the runtime does',
    pattern: /\bprocess\.env\.(?!PATH\b)\w+/g,
    text: 'code',
    in: ['runtime/'],
    except: ['runtime/cli/'],
    remedy: 'make it a setting (config/options.ts), or a parameter that a test gives (RuntimeOptions)',
  },
  {
    rule: 'only cli/ handles signals and argv',
    pattern: /\bprocess\.argv\b|\bprocess\.(?:on|once)\(/g,
    text: 'code',
    in: ['runtime/'],
    except: ['runtime/cli/', ...FAR_SIDE],
    remedy: 'give the runtime a method, and let cli/ call it',
  },
  {
    rule: 'no user code in this process',
    pattern: /\bimport\((?!\s*')|\beval\(|\bnew Function\(|\bnode:vm\b/g,
    text: 'code',
    in: ['runtime/'],
    except: FAR_SIDE,
    remedy: 'bundle it and let a child load it (catalog/bundle.ts, workers/)',
  },
  {
    rule: 'no cursor stays open',
    pattern: /\.iterate\(/g,
    text: 'code',
    in: ['runtime/'],
    except: [],
    remedy: 'read a page with .all(): an open cursor keeps a lock that starves the other side',
  },
  {
    rule: 'SQL names its columns',
    pattern: /\bselect\s+(?:\w+\.)?\*/gi,
    text: 'uncommented',
    in: ['runtime/'],
    except: [],
    remedy: 'list the columns: hosts add some over time',
  },
  {
    rule: 'SQL is lower-case',
    pattern: /\b(?:SELECT|INSERT INTO|DELETE FROM|CREATE (?:TABLE|INDEX)|UPDATE \w+ SET|PRAGMA \w)/g,
    text: 'uncommented',
    in: ['runtime/'],
    except: [],
    remedy: 'write it in lower case',
  },
  {
    rule: 'only store/ speaks SQL',
    pattern: /\.(?:prepare|pragma|transaction)\(/g,
    text: 'code',
    in: ['runtime/'],
    except: ['runtime/store/', 'runtime/host/sqlite/'],
    remedy: 'give the store a method whose name is its promise',
  },
  {
    rule: 'two files, two connections',
    pattern: /\battach\s+(?:database\b|['"?:$@])/gi,
    text: 'uncommented',
    in: ['runtime/'],
    // Files that hold a lock and nothing else (docs/decisions/0018-folders-at-rest.md).
    except: ['runtime/store/sqlite/lock.ts'],
    remedy: 'open each file by itself: a transaction over both would write to the file that is not ours',
  },
  {
    rule: 'no fs on a database file',
    pattern:
      /\b(?:readFile|writeFile|appendFile|copyFile|cp|open|truncate|createReadStream|createWriteStream)(?:Sync)?\([^\n]*(?:\.db\b|\b(?:in|out)bound\b|\bpaths\.lock\b)/g,
    text: 'uncommented',
    in: ['runtime/'],
    except: [],
    remedy: 'use the store: closing a descriptor of a database file drops the locks of the whole process',
  },
  {
    rule: 'no cast that silences the compiler',
    pattern: /\bas any\b|<any>|\bas unknown as\b/g,
    text: 'code',
    in: ['runtime/', 'functions/', 'bench/', 'examples/'],
    except: [],
    remedy: 'parse the value where it comes in, and trust its type from there',
  },
  {
    rule: 'no suppressed compiler errors',
    pattern: /@ts-(?:ignore|nocheck|expect-error)\b/g,
    text: 'text',
    in: ['runtime/', 'functions/', 'bench/', 'examples/'],
    except: [],
    remedy: 'fix the type',
  },
  {
    rule: 'named exports',
    pattern: /^export default\b/gm,
    text: 'code',
    in: ['runtime/', 'bench/', 'test/'],
    except: ['test/fixtures/'],
    remedy: 'export it by name; default exports are for functions and config files',
  },
  {
    rule: 'erasable TypeScript',
    pattern: /^\s*(?:export\s+|declare\s+|const\s+)*(?:enum|namespace|module)\s+\w+\s*\{/gm,
    text: 'code',
    in: ['runtime/', 'functions/', 'test/', 'bench/', 'examples/'],
    except: [],
    remedy: 'use a union of literals, or a module',
  },
  {
    rule: 'no module state',
    pattern:
      /^(?:export\s+)?(?:let|var)\s|^(?:export\s+)?const\s+\w+(?::(?!\s*Readonly)[^=\n]+)?\s*=\s*new (?:Weak)?(?:Map|Set)(?:<[^\n]*>)?\(\)/gm,
    text: 'code',
    in: ['runtime/'],
    except: [],
    remedy: 'keep it in an object: two runtimes may live in one process',
  },
  {
    rule: 'importing a file changes nothing',
    pattern:
      /^(?!export\b|import\b|function\b|async function\b|class\b)[a-z][\w.]*(?:\(|\s*(?:\(|=[^=>]|\{))/gm,
    text: 'code',
    in: ['runtime/'],
    except: ['runtime/cli/main.ts', 'runtime/conformance/dying-host.ts'],
    remedy: 'move it into a function',
  },
  {
    rule: 'functions know the package only',
    pattern: /from '\.[^']*\bruntime\//g,
    text: 'uncommented',
    in: ['functions/', 'examples/'],
    except: [],
    remedy: "import from 'nanoclaw-functions', as every user does",
  },
]

/**
 * Words that no file of the project may have: the project does not mention its environment. In every text
 * file.
 */
const FOREIGN: readonly Foreign[] = [
  {
    what: 'a path of one machine',
    pattern: /(?<![\w.~$}-])\/(?:work|root|Users|home\/(?!node\b)\w+)\/|\/tmp\/t\d/g,
  },
  {
    what: 'a package registry',
    pattern: /\bregistry\.[\w-]+\.\w+|\/(?:npm|pypi)-(?:proxy|mirror)\b|\blocalhost:4873\b/gi,
  },
  {
    what: 'a paper that is not in this repository',
    pattern: /\b(?:HOUSE|FAULTS|FIELD|PROTOCOL|PERFORMANCE)\.md\b/g,
  },
]

/**
 * Lines that a file may have. A file is split by thing, never because a number was reached: what is longer
 * than this has certainly become two things.
 */
const LINES_MAX = 600

/** Columns of a line that is a comment. The formatter wraps code, not comments. */
const COMMENT_WIDTH_MAX = 110

const TOP_LEVEL: readonly string[] = [
  ...[
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'biome.json',
    'vitest.config.ts',
    'nanoclaw.config.ts',
  ],
  ...['functions', 'runtime', 'test', 'bench', 'examples', 'docs', '.ci'],
  ...['README.md', 'LICENSE', 'CHANGELOG.md', 'CONTRIBUTING.md'],
  ...['Dockerfile', '.dockerignore', '.gitignore'],
]

/** Words that docs/errors.md has to explain: the members of these unions, and what these patterns find. */
const EXPLAINED: readonly Explained[] = [
  { file: 'runtime/protocol/errors.ts', what: 'ErrorCode', pattern: unionOf('ErrorCode') },
  { file: 'runtime/queue/retry-policy.ts', what: 'FailReason', pattern: unionOf('FailReason') },
  { file: 'runtime/protocol/outcome.ts', what: 'BadReplyReason', pattern: unionOf('BadReplyReason') },
  {
    file: 'runtime/sources/admission.ts',
    what: 'reason of a rejection',
    pattern: /(?:\brejected\(\s*|\breason: )('\w+')/g,
  },
  {
    file: 'runtime/store/sqlite/outbox.ts',
    what: 'reason of a run',
    pattern: /((?:'\w+'|\breason) : '\w+')/g,
  },
  { file: 'runtime/cli/exit.ts', what: 'exit code', pattern: /\bEXIT = (\{[^}]*\})/g },
]

/** Broken on purpose. */
const EXCEPTIONS: readonly Exception[] = [
  {
    file: 'runtime/config/resolve.ts',
    rule: 'no cast that silences the compiler',
    why: 'Object.fromEntries loses which name has which type; the table that it is made from is checked',
  },
  {
    file: 'runtime/cli/serve.ts',
    rule: 'time comes from a Clock',
    why: 'the last timer of a process that ends: nothing that could own it is left',
  },
]

/** Known violations to fix: the list only gets shorter. */
const KNOWN: readonly Exception[] = [
  {
    file: 'runtime/workers/lines.ts',
    rule: 'time comes from a Clock',
    why: 'the worker passes its Clock; the default is unused',
  },
  {
    file: 'runtime/store/sqlite/open.ts',
    rule: 'no dead exports',
    why: 'WRITE_BUSY_MS has no importer',
  },
  {
    file: 'test/support/build.ts',
    rule: 'named exports',
    why: 'vitest takes a named `setup` as well',
  },
]

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const tidy = new Tidy(ROOT, [...EXCEPTIONS, ...KNOWN])

describe('house rules', () => {
  it('imports point down', () => clean(tidy.importsOutOfBounds(ROOMS)))
  it('no two files need each other', () => clean(tidy.cycles()))
  it('each package enters in one place', () => clean(tidy.packagesOutOfPlace(ONE_PLACE)))
  it('package.json names what is imported, and nothing else', () => clean(tidy.dependencies(ONE_PLACE)))
  it('npm ci finds in package-lock.json what it needs, on every platform', () => clean(tidy.lockHoles()))
  it.each(BANS)('$rule', (ban) => clean(tidy.banned(ban)))
  it('every file of the runtime says at its top what it is', () => clean(tidy.withoutOpening()))
  it('every file is needed', () => clean(tidy.deadFiles(ENTRIES)))
  it('every exported name is imported somewhere', () => clean(tidy.deadExports(ENTRIES)))
  it('an exported name is declared once', () => clean(tidy.declaredTwice()))
  it('comments stay narrow', () => clean(tidy.wideComments(COMMENT_WIDTH_MAX)))
  it('files stay short', () => clean(tidy.tooLong(LINES_MAX)))
  it('the top level holds what it always holds', () => clean(tidy.foreignAtTop(TOP_LEVEL)))
  it.skipIf(!existsSync(join(ROOT, 'docs/errors.md')))('docs/errors.md explains every code', () =>
    clean(tidy.unexplained(EXPLAINED, 'docs/errors.md')),
  )
  it('no file speaks of the place where it was written', () => clean(tidy.foreign(FOREIGN)))
  it('every exception is still needed', () => clean(tidy.staleExceptions()))
})

function clean(problems: readonly string[]): void {
  if (problems.length > 0) expect.fail(`\n${problems.join('\n')}\n`)
}

/** The members of a union of texts. */
function unionOf(name: string): RegExp {
  return new RegExp(`^export type ${name} =((?:\\s*\\|?\\s*'\\w+')+)`, 'gm')
}
