// The settings of a runtime in a test: short pauses, small limits. Apart from what needs the test runner, since processes that
// a test starts use them too.
import { join } from 'node:path'
import type { Config } from '../../runtime/config/options.ts'

export function testConfig(root: string, change: Partial<Config> = {}): Config {
  const workspace = join(root, 'workspace')
  return {
    root,
    workspace,
    functions: join(root, 'functions'),
    cache: join(root, 'cache'),
    paths: {
      inbound: join(workspace, 'inbound.db'),
      outbound: join(workspace, 'outbound.db'),
      heartbeat: join(workspace, '.heartbeat'),
      inbox: join(workspace, 'inbox'),
      outbox: join(workspace, 'outbox'),
      lock: join(workspace, '.runtime.lock'),
    },
    concurrency: 2,
    timeoutMs: 10_000,
    retry: { attempts: 3, minDelayMs: 20, maxDelayMs: 200, factor: 2 },
    crashLimit: 3,
    pollMs: 250,
    watch: true,
    heartbeatMs: 2_000,
    abortGraceMs: 200,
    killGraceMs: 200,
    drainMs: 2_000,
    loadTimeoutMs: 10_000,
    warmMax: 8,
    prewarm: true,
    maxMemoryMb: 64,
    maxReplyBytes: 1024 * 1024,
    maxContentBytes: 16 * 1024 * 1024,
    maxLogBytes: 64 * 1024,
    maxMessagesPerWorker: 100_000,
    retentionMs: Number.POSITIVE_INFINITY,
    env: [],
    nodeArgs: [],
    external: [],
    journal: 'delete',
    logLevel: 'info',
    ...change,
  }
}
