// Which version this is. Works from the sources and from the build: both lie one folder below the package.
import { readFileSync } from 'node:fs'

export function ownVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
