// Lanes against a model that is too simple to be wrong: per key what is out, and a sorted list of the rest.
// Which lane has its turn is the lanes' own business; that everything they give is the beginning of such
// lists, and that they give all there is, is checked after each of many thousand random steps.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FunctionSpec } from '../../runtime/protocol/function.ts'
import { Lanes } from '../../runtime/queue/lanes.ts'
import type { Entry } from '../../runtime/queue/message.ts'
import { entryOf, setWaits, waits } from '../support/entries.ts'

const SPECS = ['f', 'g', 'h'].map(
  (name): FunctionSpec => ({
    name,
    file: `functions/${name}.ts`,
    rule: { content: [] },
    timeoutMs: 1_000,
    retry: { attempts: 3, minDelayMs: 0, maxDelayMs: 0, factor: 1 },
    concurrency: 1,
    key: 'address',
    version: 1,
    holdsWhileWaiting: false,
    rawContent: false,
    bundle: `/cache/${name}.mjs`,
  }),
)

interface ModelLane {
  readonly out: Entry[]
  rest: Entry[]
}

class Model {
  /** By key; an entry without one has a lane of its own. */
  readonly lanes = new Map<string, ModelLane>()

  laneOf({ key, message: { id } }: Entry): ModelLane {
    const name = key ?? `alone ${id}`
    const lane = this.lanes.get(name) ?? { out: [], rest: [] }
    this.lanes.set(name, lane)
    return lane
  }

  lineUp(entry: Entry): void {
    const { rest } = this.laneOf(entry)
    rest.push(entry)
    rest.sort((a, b) => Number(b.runs > 0) - Number(a.runs > 0) || a.order - b.order)
  }

  get all(): ModelLane[] {
    return [...this.lanes.values()]
  }

  get out(): Entry[] {
    return this.all.flatMap(({ out }) => out)
  }

  get rest(): Entry[] {
    return this.all.flatMap(({ rest }) => rest)
  }

  /** What each lane would give first, if it may give anything. */
  get heads(): Entry[] {
    return this.all.flatMap(({ out, rest: [head] }) =>
      out.length === 0 && head && !waits(head) ? [head] : [],
    )
  }
}

class Bench {
  readonly lanes = new Lanes()
  readonly model = new Model()
  #made = 0

  add(key: string | null, order: number, spec: number, bytes: number, kind: number): void {
    const n = this.#made++
    const begun = kind === 0 || kind === 1
    const facts = {
      order: order * 1_000 + n,
      spec: SPECS[spec]!,
      key,
      contentBytes: bytes,
      runs: begun ? 1 : 0,
      attempts: 0,
      turnedAwaySinceMs: null,
      crashes: 0,
      isolated: kind === 2,
      waits: false,
    }
    const entry = entryOf(`m-${n}`, facts, kind === 1)
    this.lanes.add(entry)
    this.model.lineUp(entry)
  }

  take(spec: number, max: number, maxBytes: number, aloneToo: boolean): void {
    const { name } = SPECS[spec]!
    const ready = this.model.heads.filter((head) => head.spec.name === name)
    const taken = this.lanes.take(name, max, maxBytes, aloneToo)
    expect(taken.length).toBeLessThanOrEqual(max)
    let bytes = 0
    for (let at = 0; at < taken.length; ) {
      const head = taken[at]!
      expect(bytes, 'content before the next lane').toBeLessThan(maxBytes)
      const lane = this.model.laneOf(head)
      expect(lane.out, 'nothing of this lane is out').toEqual([])
      for (; at < taken.length && this.model.laneOf(taken[at]!) === lane; at++) {
        const next = taken[at]!
        expect(lane.rest[0], 'first in, first out').toBe(next)
        expect([next.spec.name, waits(next)]).toEqual([name, false])
        if (next !== head) expect(bytes, 'content before the next of a lane').toBeLessThan(maxBytes)
        lane.rest.shift()
        lane.out.push(next)
        bytes += next.contentBytes
      }
      const stayed = lane.rest[0]
      const room = taken.length < max && bytes < maxBytes
      if (at === taken.length && room && stayed && !head.isolated)
        expect(stayed.isolated || stayed.spec !== head.spec || waits(stayed), 'gives all it may').toBe(true)
    }
    if (taken.some(({ isolated }) => isolated)) expect([taken.length, aloneToo]).toEqual([1, true])
    const left = ready.filter((head) => !taken.includes(head))
    const full = taken.length === max || bytes >= maxBytes || taken.some(({ isolated }) => isolated)
    if (!full && !left.some(({ isolated }) => isolated)) expect(left, 'leaves no lane out').toEqual([])
    if (aloneToo && max > 0 && maxBytes > 0)
      expect(taken.length > 0, 'gives something').toBe(ready.length > 0)
  }

  end(pick: number, how: 'done' | 'again' | 'retry' | 'waits'): void {
    const { out } = this.model
    const entry = out[pick % Math.max(out.length, 1)]
    if (!entry) return
    const lane = this.model.laneOf(entry)
    lane.out.splice(lane.out.indexOf(entry), 1)
    if (how === 'done') return this.lanes.remove(entry)
    if (how !== 'again') entry.runs++
    if (how === 'waits') setWaits(entry, true)
    this.lanes.putBack(entry)
    this.model.lineUp(entry)
  }

  wake(pick: number): void {
    const waiting = this.model.rest.filter(waits)
    const entry = waiting[pick % Math.max(waiting.length, 1)]
    if (entry) this.lanes.wake(entry)
  }

  /** The host took it away before its turn. */
  drop(pick: number): void {
    const { rest } = this.model
    const entry = rest[pick % Math.max(rest.length, 1)]
    if (!entry) return
    const lane = this.model.laneOf(entry)
    lane.rest = lane.rest.filter((each) => each !== entry)
    this.lanes.remove(entry)
  }

  /** The functions changed: all that waits is put in anew, every message for another function. */
  reload(): void {
    const emptied = this.lanes.empty()
    const rest = this.model.rest.sort((a, b) => a.order - b.order)
    expect(emptied).toEqual(rest)
    for (const lane of this.model.all) lane.rest = []
    for (const entry of emptied) {
      const renewed = { ...entry, spec: SPECS[(SPECS.indexOf(entry.spec) + 1) % SPECS.length]! }
      this.lanes.add(renewed)
      this.model.lineUp(renewed)
    }
  }

  check(): void {
    const { out, rest, heads } = this.model
    expect(this.lanes.size).toBe(out.length + rest.length)
    for (const { name } of SPECS)
      expect(this.lanes.waiting(name)).toBe(rest.filter(({ spec }) => spec.name === name).length)
    const ready = [...this.lanes.readyHeads()].map(({ spec }) => spec.name)
    expect(ready.sort(), 'functions that have something to do').toEqual(
      [...new Set(heads.map(({ spec }) => spec.name))].sort(),
    )
  }

  /** Everything comes out in the end. */
  drain(): void {
    for (let turns = 0; this.lanes.size > 0; turns++) {
      expect(turns, 'it comes to an end').toBeLessThan(10 * this.#made + 10)
      for (let n = this.model.out.length; n > 0; n--) this.end(0, 'done')
      for (const entry of this.model.rest.filter(waits)) {
        setWaits(entry, false)
        this.lanes.wake(entry)
      }
      SPECS.forEach((_, spec) => this.take(spec, 5, 1_000, true))
    }
    expect([this.model.out, this.model.rest]).toEqual([[], []])
  }
}

const nat = (max: number) => fc.integer({ min: 0, max })
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constant('add' as const),
      key: fc.constantFrom('a', 'a', 'b', null),
      order: nat(9),
      spec: fc.constantFrom(0, 0, 0, 1, 2),
      bytes: nat(60),
      kind: nat(5),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('take' as const),
      spec: nat(2),
      max: nat(6),
      maxBytes: fc.constantFrom(0, 50, 1_000, 1_000),
      aloneToo: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constant('end' as const),
      pick: nat(20),
      how: fc.constantFrom('done' as const, 'again' as const, 'retry' as const, 'waits' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('wake' as const), pick: nat(20) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('drop' as const), pick: nat(20) }) },
  { weight: 1, arbitrary: fc.constant({ what: 'reload' as const }) },
)

test('whatever happens, each key runs first in, first out, nothing is lost, nothing comes twice, and no function starves', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const bench = new Bench()
      for (const each of steps) {
        if (each.what === 'add') bench.add(each.key, each.order, each.spec, each.bytes, each.kind)
        else if (each.what === 'take') bench.take(each.spec, each.max, each.maxBytes, each.aloneToo)
        else if (each.what === 'end') bench.end(each.pick, each.how)
        else if (each.what === 'wake') bench.wake(each.pick)
        else if (each.what === 'drop') bench.drop(each.pick)
        else bench.reload()
        bench.check()
      }
      bench.drain()
    }),
    { numRuns: 150 },
  )
})
