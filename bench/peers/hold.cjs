// A handler that writes down that it runs, and the first time never ends. Ours and the peers' are this one.
const { appendFileSync, readFileSync } = require('node:fs')

/** `mark`: the path of the file that gets a line for each run: process id, and milliseconds since 1970. */
module.exports = (mark) => {
  appendFileSync(mark, `${process.pid} ${Date.now()}\n`)
  const runs = readFileSync(mark, 'utf8').split('\n').length - 1
  return runs === 1 ? new Promise(() => undefined) : undefined
}
