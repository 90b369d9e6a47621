import type { HandlerKind } from '../call/record.js'
import { isDurable } from '../context/durable-handlers.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
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

/** What a call has done to a tool, prompt or resource that the factory had registered, for the rest of its session. */
export type RegistrationChange = { list: string; name: string; now: 'enabled' | 'disabled' | 'removed' }

/** Kept among the client's messages; no client can send it. */
const REGISTERED = 'notifications/mcp-durable/registered'

export const changeMessage = (change: RegistrationChange): JsonRpcNotification => ({
  jsonrpc: '2.0',
  method: REGISTERED,
  params: change,
})

/** Of a message that was kept; never of one that came from a client. */
export const changeOf = (kept: JsonRpcMessage): RegistrationChange | undefined =>
  'method' in kept && kept.method === REGISTERED ? (kept.params as RegistrationChange) : undefined

type ListedTool = { name: string; annotations?: RecoveredTool['annotations'] }
type Entry = {
  enabled?: boolean
  handler?: unknown
  callback?: unknown
  annotations?: RecoveredTool['annotations']
  enable?(): void
  disable?(): void
  remove?(): void
}
type Entries = Record<string, Entry | undefined>

/**
 * What a server object has registered. Both majors of the SDK keep it under the same names; where one does not, and behind
 * HTTP, tools are only seen in the list that the server gives.
 */
export class Registered {
  readonly #server: ServerObject
  /** By list, what is known to be there, and whether it is enabled. */
  readonly #known = new Map<string, Map<string, boolean>>()

  constructor(server: ServerObject) {
    this.#server = server
    for (const list of Object.values(LISTS).flat()) this.#known.set(list, this.#enabled(list))
  }

  /** What has changed since this was last asked, of the list that the server object tells of. What was added is code, which can't be kept. */
  changes(method: ListChanged): { kept: RegistrationChange[]; added: string[] } {
    const kept: RegistrationChange[] = []
    const added: string[] = []
    for (const list of LISTS[method]) {
      const before = this.#known.get(list) ?? new Map<string, boolean>()
      const after = this.#enabled(list)
      this.#known.set(list, after)
      for (const name of new Set([...before.keys(), ...after.keys()])) {
        const isEnabled = after.get(name)
        if (before.get(name) === isEnabled) continue
        if (!before.has(name)) added.push(name)
        else if (isEnabled === undefined) kept.push({ list, name, now: 'removed' })
        else kept.push({ list, name, now: isEnabled ? 'enabled' : 'disabled' })
      }
    }
    return { kept, added }
  }

  /** Makes a change that a call has made elsewhere. */
  apply({ list, name, now }: RegistrationChange) {
    const entry = own(this.#entries(list), name)
    if (!entry) return
    if (now === 'removed') entry.remove?.()
    else if ((entry.enabled !== false) !== (now === 'enabled'))
      entry[now === 'enabled' ? 'enable' : 'disable']?.()
    this.#known.set(list, this.#enabled(list))
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
    const tool = own(tools, name)
    if ([tool?.handler, tool?.callback].some((handler) => isDurable(handler))) return 'durable'
    return isRepeatable(tool?.annotations) ? 'repeatable' : 'plain'
  }

  #enabled(list: string): Map<string, boolean> {
    const entries = Object.entries(this.#entries(list) ?? {})
    return new Map(entries.map(([name, entry]) => [name, entry?.enabled !== false]))
  }

  #entries(list: string) {
    return (this.#server as unknown as Record<string, Entries | undefined>)[list]
  }
}

const own = (entries: Entries | undefined, name: string) =>
  entries && Object.hasOwn(entries, name) ? entries[name] : undefined
