// The kinds of value that a setting can have: what people may write, and what it means to us. A kind reads both the
// text of a flag or variable and the value of a config file, so that one setting has one rule wherever it is given.
import { availableParallelism } from 'node:os'
import { DURATION_FORMS, type Duration, formatDuration, parseDuration } from '../protocol/duration.ts'

/** `Written`: what a config file may say. `Unit`: what a bare number means. */
export interface Kind<T, Written = T, Unit extends string | null = string | null> {
  /** What may be written, as a noun that follows "expected". */
  readonly legal: string
  /** How help shows the value of a flag; null for a flag without one. */
  readonly placeholder: string | null
  readonly unit: Unit
  /** What stands between the items of a list that is given as text; absent for all that is no list. */
  readonly separator?: ',' | ' '
  /** Undefined when `given` is nothing that this kind allows. */
  read(given: unknown): T | undefined
  /** Never there: the type alone counts. */
  readonly written?: Written
}

/** Bytes as a number, or text with a unit: b, kb, mb, gb. Units are powers of 1024, so 1mb is 1 MiB. */
export type Size = number | `${number}${'b' | 'kb' | 'mb' | 'gb'}`

const KB = 1024
const MB = KB * KB
const UNIT_BYTES: Readonly<Record<string, number>> = { b: 1, k: KB, m: MB, g: KB * MB }

export const path: Kind<string, string, null> = {
  legal: 'the path of a file or folder, as text that is not empty',
  placeholder: '<path>',
  unit: null,
  read: (given) => (isText(given) && !given.includes('\0') ? given : undefined),
}

export const truth: Kind<boolean, boolean, null> = {
  legal: 'true or false',
  placeholder: null,
  unit: null,
  read(given) {
    if (typeof given === 'boolean') return given
    return given === 'true' || given === '1' ? true : given === 'false' || given === '0' ? false : undefined
  },
}

export function whole(min: number, max: number): Kind<number, number, null> {
  return {
    legal: `a whole number from ${min} to ${max}`,
    placeholder: '<n>',
    unit: null,
    read: (given) =>
      within(typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given, min, max, true),
  }
}

/** The cores that this process may use, which in a container can be fewer than the machine has. */
export function wholeOrCores(max: number): Kind<number, number | 'cores', null> {
  const plain = whole(1, max)
  return {
    ...plain,
    legal: `${plain.legal}, or 'cores'`,
    read: (given) => (given === 'cores' ? Math.min(availableParallelism(), max) : plain.read(given)),
  }
}

export function number(min: number, max: number): Kind<number, number, null> {
  return {
    legal: `a number from ${min} to ${max}`,
    placeholder: '<n>',
    unit: null,
    read: (given) =>
      within(
        typeof given === 'string' && /^\d+(\.\d+)?$/.test(given) ? Number(given) : given,
        min,
        max,
        false,
      ),
  }
}

export function duration(minMs: number, maxMs: number): Kind<number, Duration, 'ms'> {
  return {
    legal: `${DURATION_FORMS}, from ${minMs === 0 ? 0 : formatDuration(minMs)} to ${formatDuration(maxMs)}`,
    placeholder: '<duration>',
    unit: 'ms',
    read: (given) => within(parseDuration(given), minMs, maxMs, false),
  }
}

/** Infinity for the word that means no end. */
export function durationOr<const Endless extends string>(
  endless: Endless,
  minMs: number,
  maxMs: number,
): Kind<number, Duration | Endless, 'ms'> {
  const plain = duration(minMs, maxMs)
  return {
    ...plain,
    legal: `${plain.legal}, or '${endless}'`,
    read: (given) => (given === endless ? Number.POSITIVE_INFINITY : plain.read(given)),
  }
}

export function bytes(min: number, max: number): Kind<number, Size, 'bytes'> {
  return {
    legal: `a number of bytes, or text such as '64kb', '1mb', from ${min === 0 ? 0 : formatBytes(min)} to ${formatBytes(max)}`,
    placeholder: '<size>',
    unit: 'bytes',
    read: (given) => within(parseSize(given, 1), min, max, true),
  }
}

/** Sizes of memory: a bare number counts MiB, as Node's own heap flag does. */
export function mebibytes(min: number, max: number): Kind<number, Size, 'MiB'> {
  return {
    legal: `a number of MiB, or text such as '512mb', '1gb', from ${min} MiB to ${formatBytes(max * MB)}`,
    placeholder: '<size>',
    unit: 'MiB',
    read(given) {
      const size = parseSize(given, MB)
      return size === undefined ? undefined : within(size / MB, min, max, true)
    },
  }
}

export function oneOf<const T extends string>(...values: readonly T[]): Kind<T, T, null> {
  return {
    legal: `one of ${values.map((value) => `'${value}'`).join(', ')}`,
    placeholder: `<${values.join('|')}>`,
    unit: null,
    read: (given) => values.find((value) => value === given),
  }
}

/** A list in a file; in a flag or variable its items stand between `separator`s. */
export function list(
  item: string,
  separator: ',' | ' ',
  legalItem: RegExp,
): Kind<readonly string[], readonly string[], null> {
  return {
    legal: `a list of ${item} (in a flag or variable: separated by ${separator === ',' ? 'commas' : 'spaces'})`,
    placeholder: '<list>',
    unit: null,
    separator,
    read(given) {
      const items: unknown =
        typeof given === 'string' ? given.split(separator).map(trim).filter(isText) : given
      return Array.isArray(items) && items.every((each) => isText(each) && legalItem.test(each))
        ? items
        : undefined
    },
  }
}

function formatBytes(size: number): string {
  const [divisor, unit] =
    size >= KB * MB ? [KB * MB, 'GiB'] : size >= MB ? [MB, 'MiB'] : size >= KB ? [KB, 'KiB'] : [1, 'B']
  return `${Number((size / divisor).toFixed(1))} ${unit}`
}

function parseSize(given: unknown, bareUnit: number): number | undefined {
  if (typeof given === 'number') return given * bareUnit
  if (typeof given !== 'string') return undefined
  const match = /^(\d+(?:\.\d+)?)\s?(?:(k|m|g)i?b|(b))?$/i.exec(given.trim())
  if (!match) return undefined
  const unit = (match[2] ?? match[3])?.toLowerCase()
  return Number(match[1]) * (unit === undefined ? bareUnit : (UNIT_BYTES[unit] ?? 1))
}

function within(value: unknown, min: number, max: number, mustBeWhole: boolean): number | undefined {
  if (typeof value !== 'number' || !(value >= min && value <= max)) return undefined
  return mustBeWhole && !Number.isInteger(value) ? undefined : value
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== ''
}

function trim(text: string): string {
  return text.trim()
}
