// A reply as text for people.
import { plain } from './print.ts'

const CHARS_MAX = 10_000

/** The text of a text-only reply, with its line breaks; any other reply as JSON on one line. */
export function replyText(content: string): string {
  const text = onlyText(content)
  return text === undefined
    ? plain(content, CHARS_MAX)
    : text
        .split('\n')
        .map((line) => plain(line, CHARS_MAX))
        .join('\n')
}

function onlyText(content: string): string | undefined {
  try {
    const value: unknown = JSON.parse(content)
    if (typeof value !== 'object' || value === null || !('text' in value)) return undefined
    return typeof value.text === 'string' && Object.keys(value).length === 1 ? value.text : undefined
  } catch {
    return undefined
  }
}
