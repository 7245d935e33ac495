// A whole host in one file: each conversation has a session folder, messages come from stdin, replies go to
// stdout, and a runtime starts for a folder when it has due messages.
//   node --import tsx examples/host/host.ts ./sessions
//   alice good morning              (you type: who, and what they say)
//   alice: You said: good morning   (the answer)
import { mkdirSync, readdirSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { sweep } from 'nanoclaw-functions/host'
import { supervise } from 'nanoclaw-functions/supervisor'

const project = fileURLToPath(new URL('../..', import.meta.url))
const root = resolve(process.argv[2] ?? 'sessions')

const sessions = sweep({
  // Called once for each reply, again only if it throws. `platformId` is that of the message.
  adapter: (reply) => void console.log(`${reply.platformId}: ${reply.content.text}`),
  pauseMs: 100,
  onEvent: (event) => {
    if (event.type !== 'synced') console.error(basename(event.folder), event)
  },
})

const runtimes = supervise({
  command: { argv: [process.execPath, join(project, 'dist/cli/main.js'), 'start'], cwd: project },
  instancesMax: 4,
  configuration: [join(project, 'nanoclaw.config.ts'), join(project, 'functions')],
  onEvent: (event) => console.error(basename(event.folder), event),
})

function open(folder: string): void {
  sessions.add(folder)
  runtimes.add(folder)
}

mkdirSync(root, { recursive: true })
for (const { name } of readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()))
  open(join(root, name))

for await (const line of createInterface({ input: process.stdin })) {
  const [, who, text] = /^([\w-]+) (.+)$/.exec(line) ?? []
  if (who === undefined) {
    console.error('expected: who, a space, and what they say')
    continue
  }
  const folder = join(root, who)
  mkdirSync(folder, { recursive: true })
  open(folder)
  sessions.host(folder).enqueue({ kind: 'chat', content: { text }, channelType: 'terminal', platformId: who })
  runtimes.nudge(folder)
}

// Runtimes first: their last replies are delivered by the sweep's last round, or at the next start of this
// host.
await runtimes.stop()
await sessions.round()
await sessions.stop()
