import { setTimeout as sleep } from 'node:timers/promises'
import type { MonitorModel } from '../monitor/model.js'
import { sectionsOf } from './sections.js'
import type { Shown } from './sections.js'
import type { Sections } from './wire.js'

const MOST_WAIT_MS = 15_000

type Name = keyof Sections
export type Listener = (name: Name, json: string) => void

/** Looks into the store for all browsers at once, for as long as there is one. While the store is away it looks less and less often. */
export class Watcher {
  readonly #model: MonitorModel
  readonly #shown: Shown
  readonly #everyMs: number
  readonly #encode: (value: unknown) => string
  readonly #listeners = new Set<Listener>()
  readonly #sent = new Map<Name, string>()
  #running: Promise<void> | undefined
  #quiet = new AbortController()

  constructor(
    model: MonitorModel,
    shown: Shown,
    { everyMs, encode }: { everyMs: number; encode: (value: unknown) => string },
  ) {
    this.#model = model
    this.#shown = shown
    this.#everyMs = everyMs
    this.#encode = encode
  }

  /** Gets what is known at once, if somebody else listens already, and from then on what changes. Answers with how to end it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    if (this.#running) for (const [name, json] of this.#sent) listener(name, json)
    this.#running ??= this.#run()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#quiet.abort()
    }
  }

  async #run() {
    this.#sent.clear()
    this.#quiet = new AbortController()
    let waitMs = this.#everyMs
    while (this.#listeners.size > 0) {
      const snapshot = await this.#model.refresh()
      this.#tell(sectionsOf(snapshot, this.#shown))
      waitMs = snapshot.problem === undefined ? this.#everyMs : Math.min(MOST_WAIT_MS, waitMs * 2)
      // A listener may go and another one come meanwhile: then this goes on.
      await sleep(waitMs, undefined, { signal: this.#quiet.signal }).catch(() => undefined)
      if (this.#listeners.size > 0 && this.#quiet.signal.aborted) this.#quiet = new AbortController()
    }
    this.#running = undefined
  }

  #tell(sections: Sections) {
    for (const name of Object.keys(sections) as Name[]) {
      const json = this.#encode(sections[name])
      if (this.#sent.get(name) === json) continue
      this.#sent.set(name, json)
      for (const listener of this.#listeners) listener(name, json)
    }
  }
}
