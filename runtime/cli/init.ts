// `nanoclaw init [DIR]`: creates a working project. It never overwrites a file; an existing package.json is
// kept.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { findProject } from '../config/file.ts'
import { errorText } from '../protocol/errors.ts'
import { addExamples, type Cli, type Define } from './command.ts'
import { quoted } from './example.ts'
import { CommandFailed, EXIT } from './exit.ts'
import { dependencySpec, dependsOnUs } from './own-package.ts'
import { packageName, projectFiles } from './template.ts'

export const defineInit: Define = (command, cli) => {
  addExamples(command, [
    ['nanoclaw init my-project', 'create it in a new folder'],
    ['nanoclaw init', 'create it here'],
  ])
  command.argument('[dir]', 'the folder (default: this one)')
  command.option('--json', 'print one JSON object')
  command.action((dir: string | undefined, flags: { readonly json?: true }) => {
    init(resolve(cli.cwd, dir ?? '.'), flags.json === true, cli)
  })
}

function init(root: string, asJson: boolean, { print, cwd }: Cli): void {
  const outer = projectAround(root)
  if (outer !== undefined) {
    const what = `${root} is in the functions folder of ${outer} and would become a function of it; nothing was written`
    throw new CommandFailed(`${what}. Name a folder outside: nanoclaw init DIR`, EXIT.usage)
  }
  const dependency = dependencySpec(root)
  const files = new Map(projectFiles(packageName(basename(root)), dependency))
  // Such as one that npm created when it installed this package.
  const hasManifest = existsSync(join(root, 'package.json'))
  if (hasManifest) files.delete('package.json')
  const inTheWay = [...files.keys()].filter((path) => existsSync(join(root, path)))
  if (inTheWay.length > 0) {
    const what = `${inTheWay.join(', ')} ${inTheWay.length === 1 ? 'exists' : 'exist'} in ${root} already`
    throw new CommandFailed(
      `${what}; nothing was written. Name another folder: nanoclaw init DIR`,
      EXIT.usage,
    )
  }
  for (const [path, content] of files) write(join(root, path), content)

  const next = [
    ...(root === cwd ? [] : [`cd ${quoted(relative(cwd, root))}`]),
    hasManifest && !dependsOnUs(root) ? `npm install ${quoted(dependency)}` : 'npm install',
    'npx nanoclaw dev',
  ]
  const send = 'npx nanoclaw send chat hello --wait'
  if (asJson) return print.json({ root, files: [...files.keys()], next: [...next, send] })
  print.data(...[...files.keys()].map((path) => join(relative(cwd, root), path)))
  print.talk('', 'Next:', ...next.map((line) => `  ${line}`), 'and in another terminal:', `  ${send}`)
}

/** The project whose functions folder would contain this one. */
function projectAround(root: string): string | undefined {
  const { root: outer, file } = findProject({ cwd: dirname(root), env: {} })
  if (relative(outer, root).split(sep)[0] !== 'functions') return undefined
  return file !== null || existsSync(join(outer, 'package.json')) ? outer : undefined
}

function write(path: string, content: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content, { flag: 'wx' })
  } catch (error) {
    throw new CommandFailed(`Cannot write ${path}: ${errorText(error)}`, EXIT.usage)
  }
}
