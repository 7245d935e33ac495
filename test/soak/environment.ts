// The environment of what the soak starts: this process's own, without what a shell has set for node or for
// the product. Neither is under test, and more certificates (NODE_EXTRA_CA_CERTS) alone cost every node that
// is started 40 ms.

const OF_OTHERS = /^(NODE|NANOCLAW)_/

export const ENVIRONMENT: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !OF_OTHERS.test(name)),
)
