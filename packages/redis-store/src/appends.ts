import type { Client, QuietEntry, QuietlyAppended } from './client.js'
import { isRefusal, storeError } from './errors.js'
import * as scripts from './scripts.generated.js'

/** As many streams are appended to by one command, in which Redis serves nobody else. */
const MOST = 128

type Waiting = {
  key: string
  entry: QuietEntry
  resolve: (outcome: QuietlyAppended) => void
  reject: (error: unknown) => void
}

/**
 * Appends to streams without waking anybody. What comes in one turn of the event loop goes out in one command: a
 * client spends more on a command than Redis does on an entry.
 */
export class Appends {
  readonly #client: Client
  #waiting: Waiting[] = []

  constructor(client: Client) {
    this.#client = client
  }

  append(key: string, entry: QuietEntry): Promise<QuietlyAppended> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, entry, resolve, reject })
      if (this.#waiting.length === 1) this.#client.beforeSending(() => this.#flush())
    })
  }

  #flush() {
    const waiting = this.#waiting
    this.#waiting = []
    // Streams of several sessions are in several slots.
    const most = this.#client.isCluster ? 1 : MOST
    for (let at = 0; at < waiting.length; at += most) this.#send(waiting.slice(at, at + most))
  }

  #send(batch: readonly Waiting[]) {
    const [only] = batch
    const sent = only && batch.length === 1 ? this.#appendOne(only) : this.#appendAll(batch)
    sent.catch((error: unknown) => {
      for (const { reject } of batch) reject(error)
    })
  }

  async #appendOne({ key, entry, resolve }: Waiting) {
    resolve(await this.#client.append(key, entry))
  }

  async #appendAll(batch: readonly Waiting[]) {
    const args: (string | number)[] = []
    for (const { entry } of batch) args.push(entry.id, entry.data, entry.after)
    const keys = batch.map(({ key }) => key)
    const failed = (await this.#client.run(scripts.appendQuietly, keys, args)) as (number | string)[]
    const errors = new Map<number, string>()
    for (let i = 0; i < failed.length; i += 2) errors.set(Number(failed[i]) - 1, String(failed[i + 1]))
    batch.forEach(({ resolve, reject }, place) => {
      const error = errors.get(place)
      if (error === undefined) resolve('appended')
      else if (error === '') resolve('gone')
      else if (isRefusal(error)) resolve('refused')
      else reject(storeError(new Error(error), false))
    })
  }
}
