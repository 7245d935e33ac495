// The settings of this project's runtime. Every one has a default, so this file may be empty; flags and
// environment variables win over it. `npx nanoclaw start --help` names them all.
import { defineConfig } from 'nanoclaw-functions'

export default defineConfig({
  /** Time for one attempt; a function may say its own. */
  timeout: '30s',

  /** A failed attempt is repeated after about 1 s, 2 s, 4 s, 8 s. */
  retry: { attempts: 5, minDelay: '1s' },

  /** Messages handled at the same time, each in a process of its own; 'cores' for functions that compute. */
  concurrency: 16,

  /** Environment variables that functions may see; the basic ones (PATH, HOME, TZ …) are always there. */
  env: [],
})
