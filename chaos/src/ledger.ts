import { readFile } from 'node:fs/promises'

/** What really happened, as the nodes noted it outside of the store. */
export class Ledger {
  readonly #counts = new Map<string, number>()

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const [tool, id, step] = line.split(' ')
      const key = `${tool} ${id} ${step}`
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    }
  }

  static async read(file: string): Promise<Ledger> {
    return new Ledger(await readFile(file, 'utf8').catch(() => ''))
  }

  count(tool: string, id: string, step: string): number {
    return this.#counts.get(`${tool} ${id} ${step}`) ?? 0
  }
}
