import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`runtime/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^nanoclaw-functions$/, replacement: source('index.ts') },
      { find: 'nanoclaw-functions/host', replacement: source('host/index.ts') },
      { find: 'nanoclaw-functions/supervisor', replacement: source('supervisor/index.ts') },
      { find: 'nanoclaw-functions/conformance', replacement: source('conformance/index.ts') },
      { find: 'nanoclaw-functions/runtime', replacement: source('runtime.ts') },
      { find: 'nanoclaw-functions/store', replacement: source('store/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Most tests wait for processes; one worker on two cores, the default, would leave half of the machine
    // idle.
    maxWorkers: 4,
    isolate: false,
    globalSetup: 'test/support/build.ts',
    setupFiles: 'test/support/properties.ts',
    // For what never ends. What ends takes as long as the machine needs, which may be busy with something
    // else.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
})
