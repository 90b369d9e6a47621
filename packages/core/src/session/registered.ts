import type { HandlerKind } from '../call/record.js'
import { isDurable } from '../context/durable-handlers.js'
import type { JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { isRepeatable } from './recovery.js'
import type { RecoveredTool } from './recovery.js'
import type { ServerObject } from './server-factory.js'

/** By the notification that both majors of the SDK send when what is under these names changes. */
const LISTS = {
  'notifications/tools/list_changed': ['_registeredTools'],
  'notifications/prompts/list_changed': ['_registeredPrompts'],
  'notifications/resources/list_changed': ['_registeredResources', '_registeredResourceTemplates'],
} as const
export type ListChanged = keyof typeof LISTS

export const isListChanged = (method: string): method is ListChanged => Object.hasOwn(LISTS, method)

/** Pages of tools/list that are searched for a tool. */
const MAX_PAGES = 100

type ListedTool = { name: string; annotations?: RecoveredTool['annotations'] }
type Entry = {
  enabled?: boolean
  handler?: unknown
  callback?: unknown
  annotations?: RecoveredTool['annotations']
}
type Entries = Record<string, Entry | undefined>

/**
 * What a server object has registered. Both majors of the SDK keep it under the same names; where one does not, and behind
 * HTTP, tools are only seen in the list that the server gives.
 */
export class Registered {
  readonly #server: ServerObject
  readonly #made: ReadonlyMap<string, boolean>

  constructor(server: ServerObject) {
    this.#server = server
    this.#made = new Map(Object.values(LISTS).flatMap((lists) => this.#enabled(lists)))
  }

  /** What has been added, enabled, disabled or removed since the factory returned the server object, of the list that has changed. */
  changed(method: ListChanged): string[] {
    const lists = LISTS[method]
    const now = new Map(this.#enabled(lists))
    const before = [...this.#made.keys()].filter((key) => lists.some((list) => key.startsWith(`${list} `)))
    const all = new Set([...before, ...now.keys()])
    return [...all]
      .filter((key) => this.#made.get(key) !== now.get(key))
      .map((key) => key.slice(key.indexOf(' ') + 1))
  }

  /** What runs a request of the client here. */
  handlerOf({ method, params }: JsonRpcRequest): HandlerKind {
    return method === 'tools/call' ? this.#kindOf(String(params?.['name'])) : 'plain'
  }

  /** Whether there is the tool or prompt that is asked for; `undefined`: that can't be seen. */
  has({ method, params }: JsonRpcRequest): boolean | undefined {
    const entries = this.#entries(method === 'tools/call' ? '_registeredTools' : '_registeredPrompts')
    return entries && Object.hasOwn(entries, String(params?.['name']))
  }

  /** What the server lists of a tool, and whether its handler is durable. */
  async findTool(
    name: string,
    ask: (request: JsonRpcRequest) => Promise<JsonRpcResponse>,
  ): Promise<RecoveredTool | undefined> {
    let cursor: unknown
    for (let page = 0; page < MAX_PAGES; page++) {
      const params = cursor === undefined ? {} : { cursor }
      const response = await ask({ jsonrpc: '2.0', id: 0, method: 'tools/list', params })
      if (!('result' in response)) return undefined
      const tool = (response.result['tools'] as ListedTool[]).find((listed) => listed.name === name)
      if (tool)
        return { name, durable: this.#kindOf(name) === 'durable', annotations: tool.annotations ?? {} }
      cursor = response.result['nextCursor']
      if (cursor === undefined) return undefined
    }
    return undefined
  }

  #kindOf(name: string): HandlerKind {
    const tools = this.#entries('_registeredTools')
    if (!tools) return 'listed'
    const tool = Object.hasOwn(tools, name) ? tools[name] : undefined
    if ([tool?.handler, tool?.callback].some((handler) => isDurable(handler))) return 'durable'
    return isRepeatable(tool?.annotations) ? 'repeatable' : 'plain'
  }

  #enabled(lists: readonly string[]): [key: string, isEnabled: boolean][] {
    return lists.flatMap((list) =>
      Object.entries(this.#entries(list) ?? {}).map(([name, entry]): [string, boolean] => [
        `${list} ${name}`,
        entry?.enabled !== false,
      ]),
    )
  }

  #entries(list: string) {
    return (this.#server as unknown as Record<string, Entries | undefined>)[list]
  }
}
