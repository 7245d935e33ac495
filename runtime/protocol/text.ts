// Values that a caller gives, for the calls that check them: which text both files keep, and how an error
// names any other value.

const SHOWN_CHARS_MAX = 80

/**
 * Text that the file returns unchanged: SQLite stores half surrogates as broken bytes, and C stops at NUL.
 */
export function isStorableText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !/\0|\p{Surrogate}/u.test(value)
}

/** Any value in a few characters, hostile ones included. */
export function shownValue(value: unknown): string {
  try {
    const text =
      typeof value === 'string' ? JSON.stringify(value) : Array.isArray(value) ? 'an array' : String(value)
    return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text
  } catch {
    return `a value of type ${typeof value}`
  }
}
