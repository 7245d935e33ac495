// The checks behind tidy.test.ts, which holds the rules. Each looks at the whole tree and returns one line
// for each problem: `file:line (rule) what was found; what to do`. Problems that an exception covers are left
// out, and the exception is remembered as needed.
import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { type Import, lineAt, parseSource, type Source } from './source.ts'
import { listFiles } from './tree.ts'

export interface Ban {
  readonly rule: string
  readonly pattern: RegExp
  /** Where it is looked for. `uncommented`: not in comments. `code`: not in comments, nor in texts. */
  readonly text: 'text' | 'uncommented' | 'code'
  /** Beginnings of paths: a file is looked at when one of `in` fits and none of `except`. */
  readonly in: readonly string[]
  readonly except: readonly string[]
  readonly remedy: string
}

export interface Exception {
  readonly file: string
  readonly rule: string
  readonly why: string
}

/** Words in a source file (the pattern's first group) that a document has to explain. */
export interface Explained {
  readonly file: string
  readonly what: string
  readonly pattern: RegExp
}

export interface Foreign {
  readonly what: string
  readonly pattern: RegExp
}

interface Problem {
  readonly file: string
  readonly line: number
  readonly rule: string
  readonly found: string
  readonly remedy: string
}

export class Tidy {
  readonly #root: string
  readonly #exceptions: readonly Exception[]
  readonly #needed = new Set<Exception>()
  readonly #files: readonly string[]
  readonly #sources: readonly Source[]
  readonly #runtime: readonly Source[]

  constructor(root: string, exceptions: readonly Exception[]) {
    this.#root = root
    this.#exceptions = exceptions
    this.#files = listFiles(root)
    this.#sources = this.#files
      .filter((file) => file.endsWith('.ts'))
      .map((file) => parseSource(file, this.#read(file)))
    this.#runtime = this.#sources.filter(({ path }) => path.startsWith('runtime/'))
  }

  /**
   * @param rooms for each room the rooms that it may import; `x (types)`: only what is erased; `x/y-*`: only
   *   those files
   */
  importsOutOfBounds(rooms: Readonly<Record<string, readonly string[]>>): string[] {
    const rule = 'imports point down'
    return this.#lines(
      this.#runtime.flatMap((source) => {
        const room = roomOf(source.path)
        const may = rooms[room]
        if (!may)
          return problem(source, 1, rule, `room ${room} has no row in ROOMS`, 'say there what it may import')
        return source.imports
          .filter((each) => {
            const target = targetOf(source, each)
            if (!target?.startsWith('runtime/') || roomOf(target) === room) return false
            return !may.some((allowed) => admits(allowed, target, each))
          })
          .map(({ from, line, typesOnly }) =>
            problem(
              source,
              line,
              rule,
              `${room} imports ${from}${typesOnly ? ' (types)' : ''}`,
              `it may import ${may.join(', ') || 'nothing'}; let it declare the interface that it needs`,
            ),
          )
      }),
    )
  }

  cycles(): string[] {
    const byPath = new Map(this.#runtime.map((source) => [source.path, source]))
    const done = new Set<string>()
    const problems: Problem[] = []
    const visit = (source: Source, trail: readonly string[]): void => {
      if (trail.includes(source.path)) {
        const ring = [...trail.slice(trail.indexOf(source.path)), source.path].join(' → ')
        problems.push(
          problem(source, 1, 'no cycles', ring, 'move what both need into a file below them, types too'),
        )
      } else if (!done.has(source.path)) {
        for (const each of source.imports) {
          const next = byPath.get(targetOf(source, each) ?? '')
          if (next) visit(next, [...trail, source.path])
        }
        done.add(source.path)
      }
    }
    for (const source of this.#runtime) visit(source, [])
    return this.#lines(problems)
  }

  /**
   * @param places for each package where it may be imported; of node's own modules only those are looked at
   *   that are named
   */
  packagesOutOfPlace(places: Readonly<Record<string, readonly string[]>>): string[] {
    return this.#lines(
      this.#runtime.flatMap((source) =>
        source.imports
          .filter(({ from }) => !from.startsWith('.'))
          .flatMap(({ from, line }) => {
            const allowed = places[packageOf(from)] ?? (from.startsWith('node:') ? [''] : [])
            if (under(source.path, allowed)) return []
            const remedy = allowed.length > 0 ? `only ${allowed.join(', ')} may` : 'no place may (ONE_PLACE)'
            return problem(source, line, 'one place a package', `imports ${from}`, remedy)
          }),
      ),
    )
  }

  dependencies(places: Readonly<Record<string, readonly string[]>>): string[] {
    const text = this.#read('package.json')
    const named = Object.keys((JSON.parse(text) as { dependencies: Record<string, string> }).dependencies)
    const imported = new Set(
      this.#runtime.flatMap(({ imports }) => imports.map(({ from }) => packageOf(from))),
    )
    const at = (name: string, found: string, remedy: string) =>
      problem('package.json', lineAt(text, text.indexOf(`"${name}"`)), 'dependencies', found, remedy)
    return this.#lines([
      ...named
        .filter((name) => !imported.has(name))
        .map((name) =>
          at(name, `nothing in runtime/ imports ${name}`, 'take it out, or make it a devDependency'),
        ),
      ...Object.keys(places)
        .filter((name) => imported.has(name) && !name.startsWith('node:') && !named.includes(name))
        .map((name) => at('dependencies', `${name} is imported and not named`, 'add it')),
    ])
  }

  /**
   * A lock file that was written where some packages could not be had lacks them everywhere, and `npm ci`
   * refuses it.
   */
  lockHoles(): string[] {
    const file = 'package-lock.json'
    const text = this.#read(file)
    const { packages } = JSON.parse(text) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>
    }
    const present = new Set(Object.keys(packages).map((path) => path.split('node_modules/').at(-1)))
    return this.#lines(
      Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
        Object.keys(optionalDependencies)
          .filter((name) => !present.has(name))
          .map((name) => {
            const remedy = 'write the lock file again, with a version that has all of them'
            return problem(
              file,
              lineOf(text, `"${path}"`),
              'a whole lock file',
              `${name} has no entry`,
              remedy,
            )
          }),
      ),
    )
  }

  banned(ban: Ban): string[] {
    return this.#lines(
      this.#sources
        .filter(({ path }) => under(path, ban.in) && !under(path, ban.except))
        .flatMap((source) =>
          [...source[ban.text].matchAll(ban.pattern)].map((match) => {
            const indent = match[0].length - match[0].trimStart().length
            const found = match[0].trim().slice(0, 60)
            return problem(source, lineAt(source.text, match.index + indent), ban.rule, found, ban.remedy)
          }),
        ),
    )
  }

  withoutOpening(): string[] {
    const remedy = 'open with what it is, who owns what it touches and what must stay true'
    return this.#lines(
      this.#runtime
        .filter(({ text }) => !/^(?:#!.*\n)?\/[/*]/.test(text))
        .map((source) => problem(source, 1, 'a file says what it is', 'no comment at its top', remedy)),
    )
  }

  /** @param entries files of the runtime that are alive without an importer, each with the reason */
  deadFiles(entries: Readonly<Record<string, string>>): string[] {
    const tests = this.#sources.filter(({ path }) => path.startsWith('test/'))
    const helpers = tests.filter(({ path }) => under(path, ['test/support/', 'test/fixtures/']))
    const isNamed = (path: string) => {
      const stem = posix.basename(path, '.ts') === 'index' ? posix.dirname(path) : path
      return tests.some(
        (other) => other.path !== path && mentions(other.uncommented, posix.basename(stem, '.ts')),
      )
    }
    const dead = [
      ...this.#runtime.filter(({ path }) => !(path in entries)),
      ...helpers.filter(({ path }) => !isNamed(path)),
    ].filter((source) => !this.#sources.some((other) => uses(other, source).length > 0))
    const missing = Object.keys(entries).filter((path) => !this.#files.includes(path))
    return this.#lines([
      ...dead.map((source) =>
        problem(source, 1, 'no dead files', 'it has no importer', 'delete it, or see ENTRIES'),
      ),
      ...missing.map((path) =>
        problem(path, 1, 'no dead files', 'is in ENTRIES and not there', 'take it out there'),
      ),
    ])
  }

  /** A type is alive, too, when its own file says it elsewhere: it belongs to what is exported there. */
  deadExports(entries: Readonly<Record<string, string>>): string[] {
    const rule = 'no dead exports'
    return this.#lines(
      this.#runtime
        .filter(({ path }) => !(path in entries))
        .flatMap((source) => {
          const used = new Set(this.#sources.flatMap((other) => uses(other, source)))
          return source.exports
            .filter(({ name, isType }) => !used.has(name) && !(isType && mentions(source.code, name) > 1))
            .filter(() => !used.has('*'))
            .map(({ name, line }) =>
              problem(source, line, rule, `${name} has no importer`, 'take its `export` away, or delete it'),
            )
        }),
    )
  }

  /** A re-export is no second declaration. */
  declaredTwice(): string[] {
    const rule = 'an exported name is declared once'
    const all = this.#runtime.flatMap((source) => source.declared.map((each) => ({ source, ...each })))
    return this.#lines(
      all.flatMap(({ source, name, line }) => {
        const other = all.find((each) => each.name === name && each.source !== source)
        if (!other) return []
        const found = `${name} is also declared in ${other.source.path}:${other.line}`
        return problem(source, line, rule, found, 'name each by what it is (docs/glossary.md)')
      }),
    )
  }

  /**
   * Lines that hold nothing but a comment, or a part of one.
   * @param except beginnings of paths
   */
  wideComments(max: number): string[] {
    const rule = 'comments stay narrow'
    return this.#lines(
      this.#sources.flatMap((source) => {
        const uncommented = source.uncommented.split('\n')
        return source.text.split('\n').flatMap((text, at) => {
          if (text.length <= max || uncommented[at]?.trim() !== '') return []
          const found = `${text.length} characters; a comment line may have ${max}`
          return problem(source, at + 1, rule, found, 'wrap it')
        })
      }),
    )
  }

  tooLong(max: number): string[] {
    return this.#lines(
      this.#sources
        .map(({ path, text }) => ({ path, count: text.split('\n').length - 1 }))
        .filter(({ count }) => count > max)
        .map(({ path, count }) => {
          const found = `${count} lines; it may have ${max}`
          return problem(
            path,
            count,
            'files stay short',
            found,
            'give a part of it a file and a noun of its own',
          )
        }),
    )
  }

  foreignAtTop(allowed: readonly string[]): string[] {
    const names = new Set(this.#files.map((file) => file.split('/')[0] ?? file))
    return this.#lines(
      [...names]
        .filter((name) => !allowed.includes(name))
        .map((name) =>
          problem(name, 1, 'top level', 'is not in TOP_LEVEL', 'find it a place in one of those folders'),
        ),
    )
  }

  unexplained(explained: readonly Explained[], document: string): string[] {
    const rule = 'every code is explained'
    const text = this.#read(document)
    return this.#lines(
      explained.flatMap(({ file, what, pattern }) => {
        const source = this.#sources.find(({ path }) => path === file)
        const words = [...(source?.uncommented ?? '').matchAll(pattern)].flatMap(
          ({ index, 1: members = '' }) =>
            [...members.matchAll(/'(\w+)'|:\s*(\d+)/g)].map((match) => ({
              word: match[1] ?? match[2] ?? '',
              index,
            })),
        )
        if (words.length === 0)
          return problem(file, 1, rule, `there is no ${what} here any more`, 'see EXPLAINED')
        return words
          .filter(({ word }) => !new RegExp(`(?:\`|\\| )${word}(?:\`| \\|)`).test(text))
          .map(({ word, index }) => {
            const line = lineAt(source?.text ?? '', index)
            return problem(file, line, rule, `${what} ${word}`, `say in ${document} what \`${word}\` means`)
          })
      }),
    )
  }

  foreign(words: readonly Foreign[]): string[] {
    return this.#lines(
      this.#files.flatMap((file) => {
        const text = this.#read(file)
        if (text.includes('\0')) return []
        return words.flatMap(({ what, pattern }) =>
          [...text.matchAll(pattern)].map((match) => {
            const line = lineAt(text, match.index)
            return problem(file, line, 'nothing foreign', `names ${what}: ${match[0]}`, 'say it without')
          }),
        )
      }),
    )
  }

  /** To be asked last: which exceptions covered nothing. */
  staleExceptions(): string[] {
    return this.#exceptions
      .filter((exception) => !this.#needed.has(exception))
      .map(
        ({ file, rule }) =>
          `${file} (${rule}) keeps to the rule by now; take its exception out of tidy.test.ts`,
      )
  }

  #lines(problems: readonly Problem[]): string[] {
    const left = problems.filter((each) => {
      const exception = this.#exceptions.find(({ file, rule }) => file === each.file && rule === each.rule)
      if (exception) this.#needed.add(exception)
      return !exception
    })
    return left.map(({ file, line, rule, found, remedy }) => `${file}:${line} (${rule}) ${found}; ${remedy}`)
  }

  #read(file: string): string {
    return readFileSync(join(this.#root, file), 'utf8')
  }
}

function problem(of: Source | string, line: number, rule: string, found: string, remedy: string): Problem {
  return { file: typeof of === 'string' ? of : of.path, line, rule, found, remedy }
}

/** A folder of runtime/, or a loose file in it. */
function roomOf(path: string): string {
  return path.slice('runtime/'.length).split('/')[0] ?? ''
}

function admits(allowed: string, target: string, { typesOnly }: Import): boolean {
  const [name = '', types] = allowed.split(' ')
  if (types && !typesOnly) return false
  if (target === `runtime/${name}`) return true
  if (!name.endsWith('*')) return roomOf(target) === name
  return target.startsWith(`runtime/${name.slice(0, -1)}`)
}

/** The file that is imported, or undefined for a package. */
function targetOf(source: Source, { from }: Import): string | undefined {
  return from.startsWith('.') ? posix.join(posix.dirname(source.path), from) : undefined
}

function packageOf(from: string): string {
  if (from.startsWith('node:')) return from
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/')
}

/** The names that `user` takes from `owner`. */
function uses(user: Source, owner: Source): readonly string[] {
  return user.imports.flatMap((each) => (targetOf(user, each) === owner.path ? [...each.names, ''] : []))
}

function mentions(text: string, word: string): number {
  return text.split(new RegExp(`(?<![\\w-])${word}(?![\\w-])`)).length - 1
}

function under(path: string, beginnings: readonly string[]): boolean {
  return beginnings.some((beginning) => path.startsWith(beginning))
}

function lineOf(text: string, words: string): number {
  return text.includes(words) ? lineAt(text, text.indexOf(words)) : 1
}
