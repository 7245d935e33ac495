// The content of one message, parsed when a rule or a key first asks for it and at most once: routing and
// ordering read the same message one after the other, so caching a single text is enough.

export class Content {
  #text: string | null = null
  #value: unknown

  /** The value at `path`; undefined where it does not exist, or where the text is not JSON. */
  at(text: string | null, path: readonly string[]): unknown {
    let value = this.#parsed(text)
    for (const name of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
      value = (value as Readonly<Record<string, unknown>>)[name]
    }
    return value
  }

  #parsed(text: string | null): unknown {
    if (text === null) return undefined
    if (text !== this.#text) {
      this.#value = parse(text)
      this.#text = text
    }
    return this.#value
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
