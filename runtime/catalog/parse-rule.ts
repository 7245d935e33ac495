// Parses the two declarative parts of a definition: `on` (which messages) and `key` (their ordering key).
import type { KeyRule, Rule, Scalar } from '../protocol/function.ts'
import type { On } from '../protocol/handler.ts'
import { type Faults, isFields, isText } from './faults.ts'

const COLUMNS = ['kind', 'channelType', 'platformId', 'threadId'] as const
const ON_FIELDS = [...COLUMNS, 'trigger', 'content'] as const satisfies readonly (keyof On)[]

const ON_FORM = "an object such as { kind: 'chat', content: { 'action': 'opened' } }; {} takes every message"
const TEXTS = 'text, or a list of texts'
const FLAGS = 'true, false, or a list of both'
const SCALARS = 'text, a number, true, false, null, or a list of these'
const KEY_FORMS = `${COLUMNS.map((column) => `'${column}'`).join(', ')}, a path such as 'content.user.id', a list of these, or null`

/** Without `on` the kind is the function's name; with `on` only its conditions apply. */
export function parseRule(on: unknown, name: string, faults: Faults): Rule {
  if (on === undefined) return { kind: [name], content: [] }
  if (!isFields(on)) {
    faults.wrong('on', on, ON_FORM)
    return { content: [] }
  }
  faults.unknownFields('on.', on, ON_FIELDS)
  const columns = COLUMNS.flatMap((column) => {
    const texts = listOf(on[column], isText)
    if (on[column] !== undefined && !texts) faults.wrong(`on.${column}`, on[column], TEXTS)
    return texts ? [[column, texts] as const] : []
  })
  const trigger = listOf(on.trigger, isFlag)
  if (on.trigger !== undefined && !trigger) faults.wrong('on.trigger', on.trigger, FLAGS)
  return {
    ...Object.fromEntries(columns),
    ...(trigger && { trigger }),
    content: conditionsOf(on.content, faults),
  }
}

function conditionsOf(content: unknown, faults: Faults): Rule['content'] {
  if (content === undefined) return []
  if (!isFields(content)) {
    faults.wrong(
      'on.content',
      content,
      "an object of paths and values, such as { 'repository.name': 'demo' }",
    )
    return []
  }
  return Object.entries(content).flatMap(([text, value]) => {
    const path = pathOf(text)
    const values = listOf(value, isScalar)
    if (!path) faults.wrong('a path of on.content', text, "names joined by dots, such as 'repository.name'")
    if (!values) faults.wrong(`on.content['${text}']`, value, SCALARS)
    return path && values ? [{ path, values }] : []
  })
}

/** No `key`: the reply address. null: no order. */
export function parseKey(key: unknown, faults: Faults): KeyRule {
  if (key === undefined) return 'address'
  if (key === null) return 'none'
  const paths = listOf(key, isText)?.map(keyPathOf)
  if (paths?.every((path) => path !== undefined)) return isAddress(paths) ? 'address' : paths
  faults.wrong('key', key, KEY_FORMS)
  return 'address'
}

function keyPathOf(text: string): readonly string[] | undefined {
  const path = pathOf(text)
  if (path?.length === 1) return COLUMNS.some((column) => column === text) ? path : undefined
  return path?.[0] === 'content' ? path : undefined
}

/** The default key written out is the same rule as the default. */
function isAddress(paths: readonly (readonly string[])[]): boolean {
  return paths.join() === 'channelType,platformId,threadId'
}

function pathOf(text: string): readonly string[] | undefined {
  const path = text.split('.')
  return path.includes('') ? undefined : path
}

/** One value or a list of at least one, all of them legal; otherwise undefined. */
function listOf<T>(value: unknown, legal: (value: unknown) => value is T): readonly T[] | undefined {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.length > 0 && list.every(legal) ? [...list] : undefined
}

function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean'
}

function isScalar(value: unknown): value is Scalar {
  return (
    value === null || typeof value === 'number' || typeof value === 'boolean' || value === '' || isText(value)
  )
}
