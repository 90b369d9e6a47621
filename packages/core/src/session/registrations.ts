import type { ServerObject } from './server-factory.js'

/** By the notification that both majors of the SDK send when what is under these names changes. */
const LISTS = {
  'notifications/tools/list_changed': ['_registeredTools'],
  'notifications/prompts/list_changed': ['_registeredPrompts'],
  'notifications/resources/list_changed': ['_registeredResources', '_registeredResourceTemplates'],
} as const
type ListChanged = keyof typeof LISTS

export const isListChanged = (method: string): method is ListChanged => Object.hasOwn(LISTS, method)

/** What a server object had when its factory returned it: all that the one that is made after it will have. */
export class Registrations {
  readonly #server: ServerObject
  readonly #made: ReadonlyMap<string, boolean>

  constructor(server: ServerObject) {
    this.#server = server
    this.#made = new Map(Object.values(LISTS).flatMap((lists) => this.#entries(lists)))
  }

  /** What has been added, enabled, disabled or removed since, of the list that has changed. */
  changed(method: ListChanged): string[] {
    const lists = LISTS[method]
    const now = new Map(this.#entries(lists))
    const before = [...this.#made.keys()].filter((key) => lists.some((list) => key.startsWith(`${list} `)))
    const all = new Set([...before, ...now.keys()])
    return [...all]
      .filter((key) => this.#made.get(key) !== now.get(key))
      .map((key) => key.slice(key.indexOf(' ') + 1))
  }

  #entries(lists: readonly string[]): [key: string, isEnabled: boolean][] {
    const server = this.#server as unknown as Record<
      string,
      Record<string, { enabled?: boolean }> | undefined
    >
    return lists.flatMap((list) =>
      Object.entries(server[list] ?? {}).map(([name, { enabled }]): [string, boolean] => [
        `${list} ${name}`,
        enabled !== false,
      ]),
    )
  }
}
