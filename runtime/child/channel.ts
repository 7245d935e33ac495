// Reserves the IPC channel for the runtime's protocol: a library that calls `process.send?.('ready')` would
// send the runtime an invalid report. process.disconnect stays as it is: Node calls it itself when the
// channel ends.

export type SendReport = (report: unknown, onSent?: () => void) => void

/**
 * Takes process.send away from all code that is loaded later, and leaves one that does nothing; undefined:
 * there is no channel.
 */
export function takeSend(): SendReport | undefined {
  const send = process.send?.bind(process)
  if (!send) return undefined
  process.send = (_message: unknown, ...more: unknown[]) => {
    const onSent = more.findLast((each) => typeof each === 'function')
    if (onSent) process.nextTick(onSent, null)
    return true
  }
  return (report, onSent) => void send(report, undefined, undefined, onSent)
}
