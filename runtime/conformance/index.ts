// The rules of the two files, checked from outside: `nanoclaw-functions/conformance`. Re-exports only.
export { CHECKS, type CheckName, type Finding } from './checks.ts'
export { examineInbound, examineOutbound } from './folder.ts'
export { type PlayOptions, playHost, type Report } from './play.ts'
