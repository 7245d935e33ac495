// A handler in JavaScript as large as one likes, to be loaded.

/**
 * One kilobyte of a module: functions, a class, a table; evaluated when it is loaded, as a library's
 * definitions are.
 */
const PART_BYTES = 1024

/** A handler that uses all of a module of this size, so that no part of it is left out of the bundle. */
export function moduleOf(kilobytes: number): string {
  const parts = Array.from({ length: kilobytes }, (_, n) => partOf(n).padEnd(PART_BYTES))
  const table = parts.map((_, n) => `part${n}`).join(', ')
  return `${parts.join('\n')}\nconst table = [${table}]\nexport default () => ({ parts: table.length, sum: table[0].sum(1, 2) })`
}

function partOf(n: number): string {
  const methods = Array.from(
    { length: 2 },
    (_, m) => `  check${m}(value) {
    if (value === undefined) return { ok: false, why: 'check ${m} of part ${n} needs a value and has found none' }
    if (typeof value !== 'string') return { ok: false, why: \`check ${m} of part ${n} needs text, found \${typeof value}\` }
    return value.length > ${m} ? { ok: true, value } : { ok: false, why: 'too short for check ${m} of part ${n}' }
  }`,
  )
  return `class Part${n} {\n${methods.join('\n')}\n}\nconst part${n} = { name: 'part${n}', made: new Part${n}(), sum: (a, b) => a + b + ${n} }`
}
