// The files of a new project, as `nanoclaw init` writes them: short, and each one works.

/** Paths relative to the project, with their content. `dependency`: how npm finds this package. */
export function projectFiles(name: string, dependency: string): ReadonlyMap<string, string> {
  return new Map([
    ['package.json', packageJson(name, dependency)],
    ['nanoclaw.config.ts', CONFIG],
    ['functions/chat.ts', CHAT],
    ['tsconfig.json', TSCONFIG],
    ['.gitignore', 'node_modules/\n.nanoclaw/\n'],
    ['README.md', readme(name)],
  ])
}

/** A legal npm package name, derived from the folder's name. */
export function packageName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+|-+$/g, '')
  return name.slice(0, 214) || 'my-functions'
}

function packageJson(name: string, dependency: string): string {
  const content = {
    name,
    private: true,
    type: 'module',
    scripts: { dev: 'nanoclaw dev', start: 'nanoclaw start' },
    dependencies: { 'nanoclaw-functions': dependency },
    // Newer versions of npm require this before they build a native module.
    allowScripts: { 'better-sqlite3': true, esbuild: true },
  }
  return `${JSON.stringify(content, null, 2)}\n`
}

const CONFIG = `import { defineConfig } from 'nanoclaw-functions'

// Everything has a default; see docs/config.md of nanoclaw-functions for all settings.
export default defineConfig({
  timeout: '30s',
})
`

const CHAT = `import { defineFunction } from 'nanoclaw-functions'

// Takes messages of kind \`chat\`, because the file is called chat.ts.
export default defineFunction<{ text: string }>({
  handler(message, ctx) {
    ctx.log.info('answering', { attempt: ctx.attempt })
    return \`You said: \${message.content.text}\`
  },
})
`

const TSCONFIG = `{
  "compilerOptions": {
    "target": "es2023",
    "module": "nodenext",
    "strict": true,
    "noEmit": true,
    "skipLibCheck": true
  },
  "include": ["functions", "*.config.ts"]
}
`

function readme(name: string): string {
  return `# ${name}

Each file in \`functions/\` is a function; it takes the messages of the kind that its file is named after.

    npm install
    npx nanoclaw dev                        # runs them, reloads them on change
    npx nanoclaw send chat hello --wait     # in another terminal

\`npx nanoclaw status\` shows queue counts and recent failures, \`npx nanoclaw show ID\` one message with its runs and replies.
`
}
