import type { Events, Hooks } from '../../src/index.js'
import { EVENTS } from '../../src/signals/events.js'
import { within } from './within.js'

type Heard = { [Name in keyof Events]: { name: Name; event: Events[Name] } }[keyof Events]

/** Hooks for everything, and what they were told, in order. */
export class Listener {
  readonly on: Hooks
  readonly #heard: Heard[] = []
  readonly #waiting = new Set<() => void>()

  constructor() {
    const hook = (name: keyof Events) => (event: unknown) => this.#hear({ name, event } as Heard)
    this.on = Object.fromEntries(EVENTS.map((name) => [name, hook(name)]))
  }

  /** The names of all events but those of the store, in order. */
  get names() {
    return this.#heard.map(({ name }) => name).filter((name) => name !== 'storeOperation')
  }

  all<Name extends keyof Events>(name: Name): Events[Name][] {
    return this.#heard.filter((heard) => heard.name === name).map(({ event }) => event as Events[Name])
  }

  /** The first such event with these values, as soon as there is one. */
  async until<Name extends keyof Events>(name: Name, has: Partial<Events[Name]> = {}): Promise<Events[Name]> {
    const fits = (event: Events[Name]) =>
      Object.entries(has).every(([key, value]) => event[key as keyof Events[Name]] === value)
    let look: (() => void) | undefined
    const heard = new Promise<Events[Name]>((resolve) => {
      look = () => {
        const event = this.all(name).find(fits)
        if (event) resolve(event)
      }
      this.#waiting.add(look)
      look()
    })
    try {
      return await within(heard, `${name} ${JSON.stringify(has)} (heard: ${this.names.join(', ')})`)
    } finally {
      if (look) this.#waiting.delete(look)
    }
  }

  #hear(heard: Heard) {
    this.#heard.push(heard)
    for (const look of this.#waiting) look()
  }
}
