// A host of its own that supervises one folder, so that a test can suspend it: `supervise-child.ts <folder>
// <limits as JSON>`. Its runtime does nothing. Each event is a line of JSON with its time.
import { supervise } from 'nanoclaw-functions/supervisor'

const [, , folder, limits] = process.argv as [string, string, string, string]

const supervisor = supervise({
  command: { argv: ['sleep', '60'] },
  pauseMs: 10,
  limits: JSON.parse(limits),
  onEvent: (event) => console.log(JSON.stringify({ atMs: Date.now(), ...event })),
})
supervisor.add(folder)
process.once('SIGTERM', () => void supervisor.stop())
