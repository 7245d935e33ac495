// Numbers that look random and are not: one seed gives one sequence, on every machine.

/**
 * What these numbers have become, mixed: 0 ≤ n < 2^32. For choices that must not depend on the order in which
 * they are made.
 */
export function mix(...numbers: readonly number[]): number {
  let hash = 0x9e3779b9
  for (const number of numbers) hash = scramble(hash ^ (number | 0))
  return hash
}

function scramble(number: number): number {
  let n = Math.imul(number ^ (number >>> 16), 0x21f0aaad)
  n = Math.imul(n ^ (n >>> 15), 0x735a2d97)
  return (n ^ (n >>> 15)) >>> 0
}

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = mix(seed)
  }

  /** 0 ≤ n < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    return scramble(this.#state) / 2 ** 32
  }

  /** 0 ≤ n < below */
  int(below: number): number {
    return Math.floor(this.next() * below)
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.int(choices.length)]!
  }

  /** One of the choices, each as often as its weight says. */
  weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    let left = this.next() * choices.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, choice] of choices) if ((left -= weight) < 0) return choice
    return choices.at(-1)![1]
  }
}
