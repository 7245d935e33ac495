// A queue: in at the back, or where its order says; out at the front. Thousands may stand in one, so taking
// the first moves nothing, and putting something in near either end moves little.
export class Line<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get first(): T | undefined {
    return this.#items[this.#head]
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** Behind everything that it does not come before; for a line that is filled in no other way. */
  insert(item: T, comesBefore: (a: T, b: T) => boolean): void {
    let [from, to] = [this.#head, this.#items.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (comesBefore(item, this.#items[middle]!)) to = middle
      else from = middle + 1
    }
    if (from === this.#items.length) this.#items.push(item)
    else if (from === this.#head && from > 0) this.#items[--this.#head] = item
    else this.#items.splice(from, 0, item)
  }

  shift(): void {
    this.#items[this.#head++] = undefined
    if (this.#head <= 1024 || this.#head * 2 <= this.#items.length) return
    this.#items = this.#items.slice(this.#head)
    this.#head = 0
  }

  delete(item: T): void {
    const at = this.#items.indexOf(item, this.#head)
    if (at >= 0) this.#items.splice(at, 1)
  }

  /** All of it, in order. */
  all(): T[] {
    return this.#items.slice(this.#head) as T[]
  }

  /** Returns what was in it. */
  clear(): T[] {
    const items = this.all()
    this.#items = []
    this.#head = 0
    return items
  }
}
