// Values as JSON text: replies, and the content of messages. JSON.stringify changes many values without an
// error: NaN becomes null, a Set or a Response becomes {}. Such a value is rejected here with its path. The
// check walks the value before JSON.stringify, since a replacer, which is called for each value, costs
// several times as much.
import { errorInfo } from './errors.ts'

export type JsonText = { readonly json: string } | { readonly fault: string }

/** The depth limit of SQLite's JSON functions, which hosts use; it also ends the walk of a cycle. */
const DEPTH_MAX = 1_000
/** Limit of a path in an error text; the beginning is enough to find it. */
const PLACE_CHARS_MAX = 200

/** `name`: the name of the value in a fault, such as `reply`. A string becomes `{ text }`. */
export function toJson(value: unknown, name: string): JsonText {
  return typeof value === 'string' ? { json: JSON.stringify({ text: value }) } : jsonOf(value, name)
}

/** Any value that JSON keeps, a string as itself. */
export function jsonOf(value: unknown, name: string): JsonText {
  const place: Place = { keys: [], depth: 0 }
  try {
    const fault = faultOf(value, '', 0, place)
    if (fault === TOO_DEEP) return { fault: depthFault(value, name, place.keys) }
    if (fault !== undefined) return { fault: `${placeText(name, place.keys, place.depth)} ${fault}` }
    place.depth = 0
    const json = JSON.stringify(value)
    return json === undefined ? { fault: `${name} is ${article(typeof value)}; ${PLAIN}` } : { json }
  } catch (error) {
    const where = placeText(name, place.keys, place.depth)
    return { fault: `${where} cannot be read (${errorInfo(error).message}); ${PLAIN}` }
  }
}

const PLAIN = 'use plain data'
const TOO_DEEP = 'is too deep'

/** The position of the walk: the first `depth` of these keys. */
interface Place {
  readonly keys: (string | number)[]
  depth: number
}

/** The fault of this value, or of the first faulty value in it; undefined: JSON keeps all of it. */
function faultOf(value: unknown, key: string | number, depth: number, place: Place): string | undefined {
  place.depth = depth
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : `is ${value}; use a finite number or null`
    case 'object': {
      if (value === null) return undefined
      const own = toJsonOf(value)
      return own ? faultOfOwn(value, own, key, depth, place) : faultIn(value, depth, place)
    }
    case 'bigint':
      return toJsonOf(value) ? undefined : 'is a BigInt; use String(it)'
    default:
      return `is ${article(typeof value)}; ${PLAIN}`
  }
}

/** Rejects undefined and holes in an array, since JSON turns them into null; skips undefined fields. */
function faultIn(value: object, depth: number, place: Place): string | undefined {
  if (depth > DEPTH_MAX) return TOO_DEEP
  const { keys } = place
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const item: unknown = value[index]
      if (typeof item === 'string') continue
      keys[depth] = index
      const fault = faultOf(item, index, depth + 1, place)
      if (fault !== undefined) return fault
    }
    return undefined
  }
  const names = Object.keys(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    const fault = instanceFault(value, names.length)
    if (fault !== undefined) return fault
  }
  for (const name of names) {
    keys[depth] = name
    place.depth = depth + 1
    const item: unknown = (value as Record<string, unknown>)[name]
    if (item === undefined || typeof item === 'string') continue
    const fault = faultOf(item, name, depth + 1, place)
    if (fault !== undefined) return fault
  }
  return undefined
}

type ToJson = (key: string) => unknown

function toJsonOf(value: object | bigint): ToJson | undefined {
  const { toJSON } = value as { toJSON?: unknown }
  return typeof toJSON === 'function' ? (toJSON as ToJson) : undefined
}

/** An object with a toJSON(). The form of a Buffer would be legal, but eight times as long as its bytes. */
function faultOfOwn(
  value: object,
  own: ToJson,
  key: string | number,
  depth: number,
  place: Place,
): string | undefined {
  if (value instanceof Date && Number.isNaN(value.getTime())) return 'is an invalid Date; use a valid one'
  if (ArrayBuffer.isView(value)) return instanceFault(value, 0)
  const form: unknown = own.call(value, String(key))
  if (form === undefined) return undefined
  return typeof form === 'object' && form !== null
    ? faultIn(form, depth, place)
    : faultOf(form, key, depth, place)
}

/** By the tag of the built-in class, which its subclasses inherit and which is the same in every realm. */
const REMEDIES: Readonly<Record<string, string>> = {
  ArrayBuffer: "use Buffer.from(it).toString('base64')",
  AsyncGenerator: 'its body has not run: collect what it yields',
  DataView: "use Buffer.from(it.buffer).toString('base64')",
  Error: 'use its message',
  Generator: 'its body has not run: use [...it]',
  Headers: 'use Object.fromEntries(it)',
  Map: 'use Object.fromEntries(it) or [...it]',
  Promise: 'await it',
  Response: 'use await it.text() or await it.json()',
  Set: 'use [...it]',
  URLSearchParams: 'use Object.fromEntries(it)',
  Uint8Array: "use Buffer.from(it).toString('base64')",
}

/** Tags that many classes share: the class name is used instead. */
const CLASSES_BELOW: ReadonlySet<string> = new Set(['Error', 'Object', 'Uint8Array'])

/** The JSON of a class instance is its fields, unless it has none or holds its data elsewhere. */
function instanceFault(value: object, fields: number): string | undefined {
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
  if (tag === 'Number') return faultOf(Number(value), '', 0, { keys: [], depth: 0 })
  if (tag === 'String' || tag === 'Boolean') return undefined
  const name = CLASSES_BELOW.has(tag) ? className(value, tag) : tag
  const remedy = REMEDIES[tag] ?? (ArrayBuffer.isView(value) ? 'use Array.from(it)' : undefined)
  if (remedy !== undefined) return `is ${article(name)}; ${remedy}`
  if ('then' in value && typeof value.then === 'function') return `is ${article(name)}; await it`
  if (Symbol.asyncIterator in value) return `is ${article(name)}; collect what it yields`
  // A plain object of another realm has no fields either way.
  if (fields > 0 || name === 'Object') return undefined
  return `is ${article(name)}, which JSON turns into {}; ${PLAIN}, or give it a toJSON()`
}

function className(value: object, otherwise: string): string {
  const made: unknown = value.constructor
  return typeof made === 'function' && made.name !== '' ? made.name : otherwise
}

function article(name: string): string {
  return name === 'undefined' ? name : `${/^[AEIOaeio]/.test(name) ? 'an' : 'a'} ${name}`
}

/** The path at which a cycle begins, if any. */
function depthFault(root: unknown, name: string, keys: readonly (string | number)[]): string {
  const seen = new Map<unknown, number>()
  let value = root
  for (const [depth, key] of keys.entries()) {
    const before = seen.get(value)
    if (before !== undefined)
      return `${placeText(name, keys, depth)} refers back to ${placeText(name, keys, before)}; ${PLAIN}`
    seen.set(value, depth)
    value = (value as Record<string | number, unknown> | null | undefined)?.[key]
  }
  return `${placeText(name, keys, keys.length)} is more than ${DEPTH_MAX} levels deep; use fewer`
}

function placeText(name: string, keys: readonly (string | number)[], depth: number): string {
  let text = name
  for (const key of keys.slice(0, depth)) {
    if (text.length > PLACE_CHARS_MAX) return `${text.slice(0, PLACE_CHARS_MAX)}…`
    if (typeof key === 'number') text += `[${key}]`
    else text += /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
  }
  return text.length > PLACE_CHARS_MAX ? `${text.slice(0, PLACE_CHARS_MAX)}…` : text
}
