// The rules of the two files, checked from outside: `nanoclaw-functions/conformance`. Re-exports only.

export { type CheckOptions, type ConformanceReport, checkRuntime } from './check-runtime.ts'
export { CHECKS, type CheckName, type Finding } from './checks.ts'
export { examineInbound, examineOutbound } from './folder.ts'
