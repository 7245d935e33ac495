// What reading beyond the scan has passed over: of which functions, and of which ordering
// keys, so that no later message of such a key is let in before the earlier one. Keys are kept in a Bloom
// filter: its size does not grow, it forgets no key, and one that it takes for another by mistake only waits
// until the walk itself has come to its message. A lap over what was passed over finds anew which keys wait;
// until it is through, those of before count too.

/** 1 MiB: of ten new keys one is taken for another when about two million have been passed over. */
const BITS = 2 ** 23
const HASHES = 4

export class PassedOver {
  #keys = new Keys()
  /** By the lap that is under way, and by others since it began. */
  #lap: { readonly own: Keys; readonly others: Keys } | undefined
  #functions = new Set<string>()
  #forKey = false

  /** Functions that had no room. */
  get functions(): ReadonlySet<string> {
    return this.#functions
  }

  /** Some message waits only because an earlier one of its key was passed over. */
  get forKey(): boolean {
    return this.#forKey
  }

  /** Whether a message of this key was passed over; for a lap: before the place where it is. */
  has(key: string, by: 'lap' | 'beyond'): boolean {
    return by === 'lap' ? this.#lap?.own.has(key) === true : this.#keys.has(key) || this.has(key, 'lap')
  }

  /** `functionName`: it had no room; null: the message waits for its key. */
  add(functionName: string | null, key: string | null, by: 'lap' | 'beyond'): void {
    if (functionName === null) this.#forKey = true
    else this.#functions.add(functionName)
    if (key === null) return
    if (by === 'lap') return this.#lap?.own.add(key)
    this.#keys.add(key)
    this.#lap?.others.add(key)
  }

  lapBegins(): void {
    this.#lap = { own: new Keys(), others: new Keys() }
    this.#functions = new Set()
    this.#forKey = false
  }

  /** What it has not passed over has its place by now. */
  lapEnds(): void {
    if (this.#lap) this.#keys = this.#lap.own.and(this.#lap.others)
    this.#lap = undefined
  }

  clear(): void {
    this.lapBegins()
    this.lapEnds()
  }
}

class Keys {
  #bits: Uint32Array | undefined

  has(key: string): boolean {
    const bits = this.#bits
    return bits !== undefined && places(key).every((at) => ((bits[at >>> 5]! >>> (at & 31)) & 1) === 1)
  }

  add(key: string): void {
    this.#bits ??= new Uint32Array(BITS / 32)
    for (const at of places(key)) this.#bits[at >>> 5]! |= 1 << (at & 31)
  }

  /** Itself, with the keys of another one. */
  and(other: Keys): Keys {
    if (!this.#bits) return other
    other.#bits?.forEach((word, at) => {
      this.#bits![at]! |= word
    })
    return this
  }
}

/** FNV-1a twice, from other beginnings; the further places follow from these two. */
function places(key: string): number[] {
  let [a, b] = [0x811c9dc5, 0x9747b28c]
  for (let at = 0; at < key.length; at++) {
    const code = key.charCodeAt(at)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b)
  }
  return Array.from({ length: HASHES }, (_, n) => (a + Math.imul(n, b | 1)) & (BITS - 1))
}
