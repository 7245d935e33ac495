// The picture in README.md: what `nanoclaw dev` prints in a small project, taken from a real run and drawn as
// an SVG.
//   npm run picture        writes docs/pictures/dev.svg
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const PICTURE = join(REPOSITORY, 'docs/pictures/dev.svg')
const COMMAND = join(REPOSITORY, 'dist/bin/main.js')
const DEADLINE_MS = 30_000

const FUNCTIONS = {
  'hello.ts': helloWith('Hello'),
  'pay.ts': `import { defineFunction } from 'nanoclaw-functions'

export default defineFunction<{ amount: number }>({
  retry: { attempts: 3, minDelay: '200ms' },
  handler(message, ctx) {
    if (ctx.attempt === 1) throw new Error('the bank did not answer')
    return { paid: message.content.amount }
  },
})
`,
}

function helloWith(word: string): string {
  return `import { defineFunction } from 'nanoclaw-functions'

export default defineFunction<{ text: string }>({
  handler(message, ctx) {
    ctx.log.info('greeting', { name: message.content.text })
    return \`${word}, \${message.content.text}!\`
  },
})
`
}

/** Each colour of a terminal in the picture. */
const COLOURS: Readonly<Record<string, string>> = {
  '31': '#ff7b72',
  '32': '#7ee787',
  '33': '#e3b341',
  '34': '#79c0ff',
  '35': '#d2a8ff',
  '36': '#76e3ea',
}
const PLAIN = '#e6edf3'
const DIM = '#8b949e'
/** In pixels. */
const [CHAR, LINE, MARGIN, BAR, FONT] = [8.43, 21, 24, 40, 14]

interface Style {
  readonly bold: boolean
  readonly dim: boolean
  readonly colour: string
}

const START: Style = { bold: false, dim: false, colour: PLAIN }

await main()

async function main(): Promise<void> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nanoclaw-picture-')))
  try {
    const project = join(folder, 'shop')
    makeProject(project)
    const printed = await runDev(project)
    writeFileSync(PICTURE, svg(`\u001b[2m$\u001b[22m npx nanoclaw dev\n${printed.replaceAll(folder, '~')}`))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function makeProject(project: string): void {
  mkdirSync(join(project, 'functions'), { recursive: true })
  mkdirSync(join(project, 'node_modules'))
  symlinkSync(REPOSITORY, join(project, 'node_modules/nanoclaw-functions'))
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }\n')
  for (const [name, text] of Object.entries(FUNCTIONS)) writeFileSync(join(project, 'functions', name), text)
}

/** What dev prints from its start until the last function has answered. */
async function runDev(project: string): Promise<string> {
  const dev = spawn(process.execPath, [COMMAND, 'dev'], {
    cwd: project,
    env: { ...process.env, FORCE_COLOR: '1' },
  })
  const ended = once(dev, 'exit')
  const deadline = setTimeout(() => dev.kill('SIGKILL'), DEADLINE_MS)
  let printed = ''
  for (const stream of [dev.stdout, dev.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text))
  const until = async (text: string) => {
    while (!printed.includes(text)) {
      if (dev.exitCode !== null || dev.signalCode !== null) throw new Error(`dev ended early:\n${printed}`)
      await sleep(20)
    }
  }
  await until('Ctrl+C')
  await send(project, 'hello', 'Ada', 'hello-1')
  await until('Hello, Ada!')
  await send(project, 'pay', '{"amount":42}', 'order-7')
  await until('"paid":42')
  writeFileSync(join(project, 'functions/hello.ts'), helloWith('Welcome'))
  await until('reload')
  await send(project, 'hello', 'Grace', 'hello-2')
  await until('Welcome, Grace!')
  const shown = printed
  dev.kill('SIGINT')
  await ended
  clearTimeout(deadline)
  return shown
}

async function send(project: string, kind: string, content: string, id: string): Promise<void> {
  const args = [COMMAND, 'send', kind, content, '--id', id]
  const [code] = await once(spawn(process.execPath, args, { cwd: project, stdio: 'ignore' }), 'exit')
  if (code !== 0) throw new Error(`send ${kind} ended with ${code}`)
}

function svg(output: string): string {
  const lines = output.replace(/\n+$/, '').split('\n').map(spansOf)
  const columns = Math.max(...lines.map((spans) => spans.reduce((sum, { text }) => sum + text.length, 0)))
  const width = Math.ceil(columns * CHAR + 2 * MARGIN)
  const height = lines.length * LINE + BAR + MARGIN
  const rows = lines.flatMap((spans, at) => {
    const y = BAR + (at + 0.75) * LINE
    return spans.length === 0 ? [] : [`<text x="${MARGIN}" y="${y}">${spans.map(tspan).join('')}</text>`]
  })
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (colour, at) => `<circle cx="${MARGIN + 6 + at * 20}" cy="20" r="6" fill="${colour}"/>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="The output of nanoclaw dev in a terminal">
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10" fill="#0d1117" stroke="#30363d"/>
${dots.join('')}
<g font-family="ui-monospace, SFMono-Regular, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}" xml:space="preserve">
${rows.join('\n')}
</g>
</svg>
`
}

interface Span {
  readonly text: string
  readonly style: Style
}

/** One line of the output, cut where its style changes. */
function spansOf(line: string): Span[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the control characters of a terminal
  const parts = line.split(/\u001b\[([\d;]*)m/)
  let style = START
  return parts.flatMap((part, at) => {
    if (at % 2 === 1) style = part.split(';').reduce(restyled, style)
    return at % 2 === 1 || part === '' ? [] : [{ text: part, style }]
  })
}

function restyled(style: Style, code: string): Style {
  switch (code) {
    case '':
    case '0':
      return START
    case '1':
      return { ...style, bold: true }
    case '2':
      return { ...style, dim: true }
    case '22':
      return { ...style, bold: false, dim: false }
    case '39':
      return { ...style, colour: PLAIN }
    default:
      return { ...style, colour: COLOURS[code] ?? style.colour }
  }
}

function tspan({ text, style }: Span): string {
  const fill = style.dim && style.colour === PLAIN ? DIM : style.colour
  const weight = style.bold ? ' font-weight="bold"' : ''
  return `<tspan fill="${fill}"${weight}>${escaped(text)}</tspan>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
