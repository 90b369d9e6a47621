const WIDTH = 24

/** On a terminal a bar, drawn again and again; elsewhere a line for each part. On stderr: stdout is for the results. */
export class ProgressBar {
  readonly #began = Date.now()
  readonly #weights: ReadonlyMap<string, number>
  readonly #isTerminal = process.stderr.isTTY
  #done = 0
  #part = ''

  /** The parts, with how long each takes in relation to the others. */
  constructor(weights: ReadonlyMap<string, number>) {
    this.#weights = weights
  }

  begin(part: string) {
    this.#done += this.#weights.get(this.#part) ?? 0
    this.#part = part
    this.update(0)
    if (!this.#isTerminal) process.stderr.write(`${this.#seconds()} s: ${part} …\n`)
  }

  /** How far the part is, from 0 to 1. */
  update(fraction: number) {
    if (!this.#isTerminal) return
    const all = [...this.#weights.values()].reduce((sum, weight) => sum + weight, 0)
    const share = (this.#done + fraction * (this.#weights.get(this.#part) ?? 0)) / all
    const full = Math.round(share * WIDTH)
    const bar = '█'.repeat(full) + '░'.repeat(WIDTH - full)
    process.stderr.write(`\r\u001B[K${bar} ${Math.round(share * 100)} %, ${this.#seconds()} s: ${this.#part}`)
  }

  end() {
    if (this.#isTerminal) process.stderr.write('\r\u001B[K')
  }

  #seconds() {
    return Math.round((Date.now() - this.#began) / 1000)
  }
}
