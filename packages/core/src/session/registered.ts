import type { HandlerKind } from '../call/record.js'
import { isDurable, taskModeOf } from '../context/durable-handlers.js'
import type { TaskMode } from '../context/durable-handlers.js'
import { taskToolOf } from '../context/task-tools.js'
import type { TaskToolNames } from '../context/task-tools.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest } from '../json-rpc.js'
import { findListed } from './listings.js'
import type { Ask } from './listings.js'
import { isRepeatable } from './recovery.js'
import type { RecoveredTool } from './recovery.js'
import { taskModeFor } from './task-mode.js'
import type { TasksOption } from './task-mode.js'
import type { ServerObject } from './server-factory.js'
import { parseUrl } from '../parse-url.js'

/** By the notification that both majors of the SDK send when what is under these names changes. */
const LISTS = {
  'notifications/tools/list_changed': ['_registeredTools'],
  'notifications/prompts/list_changed': ['_registeredPrompts'],
  'notifications/resources/list_changed': ['_registeredResources', '_registeredResourceTemplates'],
} as const
export type ListChanged = keyof typeof LISTS

export const isListChanged = (method: string): method is ListChanged => Object.hasOwn(LISTS, method)

const RESOURCES = LISTS['notifications/resources/list_changed']

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
  name?: unknown
  title?: unknown
  description?: unknown
  icons?: unknown
  _meta?: unknown
  metadata?: unknown
  scopeChallenge?: unknown
  handler?: unknown
  callback?: unknown
  readCallback?: unknown
  annotations?: RecoveredTool['annotations']
  inputSchema?: unknown
  outputSchema?: unknown
  argsSchema?: unknown
  enable?(): void
  disable?(): void
  remove?(): void
  /** Of a template of resources. */
  resourceTemplate?: { uriTemplate?: { match?: (uri: string) => unknown } }
}
/** `names`: of the tools by which its client asks for it. */
export type PlainTask = { mode: 'auto' | 'always'; names: TaskToolNames }
type SdkServer = { _requestHandlers?: unknown; fallbackRequestHandler?: unknown }
type Entries = Record<string, Entry | undefined>

/**
 * What a server object has registered. Both majors of the SDK keep it under the same names; where one does not, and behind
 * HTTP, tools are only seen in the list that the server gives.
 */
export class Registered {
  readonly #server: ServerObject
  /** By list, what is known to be there. */
  readonly #known = new Map<string, Map<string, Known>>()
  /** By list and name, what calls of the session have disabled or removed. */
  readonly #withdrawn = new Map<string, Entry>()

  constructor(server: ServerObject) {
    this.#server = server
    for (const list of Object.values(LISTS).flat()) this.#known.set(list, this.#knownOf(list))
  }

  /**
   * What has changed since this was last asked, of the list that the server object tells of. `lost`: what was added, renamed or
   * updated is code, which can't be kept.
   */
  changes(method: ListChanged): { kept: RegistrationChange[]; lost: string[] } {
    const kept: RegistrationChange[] = []
    const lost: string[] = []
    for (const list of LISTS[method]) {
      const before = this.#known.get(list) ?? new Map<string, Known>()
      const after = this.#knownOf(list)
      this.#known.set(list, after)
      const there = new Set([...after.values()].map(({ entry }) => entry))
      for (const [name, was] of before) {
        const is = after.get(name)
        // What was renamed others have under its old name.
        if (!is && there.has(was.entry)) continue
        if (!is) kept.push(this.#noted({ list, name, now: 'removed' }, was.entry))
        else if (is.isEnabled !== was.isEnabled)
          kept.push(this.#noted({ list, name, now: is.isEnabled ? 'enabled' : 'disabled' }, was.entry))
        if (is && !isSame(is, was)) lost.push(name)
      }
      lost.push(...[...after.keys()].filter((name) => !before.has(name)))
    }
    return { kept, lost }
  }

  /** Makes a change that a call has made elsewhere. */
  apply({ list, name, now }: RegistrationChange) {
    const entry = own(this.#entries(list), name)
    if (!entry) return
    if (now === 'removed') entry.remove?.()
    else if ((entry.enabled !== false) !== (now === 'enabled'))
      entry[now === 'enabled' ? 'enable' : 'disable']?.()
    this.#known.set(list, this.#knownOf(list))
    this.#noted({ list, name, now }, entry)
  }

  #noted(change: RegistrationChange, entry: Entry) {
    const { list, name, now } = change
    if (now === 'enabled') this.#withdrawn.delete(`${list} ${name}`)
    else this.#withdrawn.set(`${list} ${name}`, entry)
    return change
  }

  /** Whether the session itself does not have any more what is asked for, on whichever node. */
  isWithdrawn({ method, params }: JsonRpcRequest): boolean {
    if (method !== 'resources/read')
      return this.#withdrawn.has(`${listOf(method)} ${String(params?.['name'])}`)
    const uri = String(params?.['uri'])
    const [resources] = RESOURCES
    if ([uri, normalUri(uri)].some((name) => this.#withdrawn.has(`${resources} ${name}`))) return true
    return [...this.#withdrawn.values()].some((entry) => matches(entry, uri))
  }

  /** What runs a request of the client here. */
  handlerOf({ method, params }: JsonRpcRequest): HandlerKind {
    if (method === 'tools/call') return this.#kindOf(String(params?.['name']))
    if (method === 'resources/read')
      return kindOfReader(this.#resourceOf(String(params?.['uri']))?.readCallback)
    if (method !== 'prompts/get') return 'plain'
    return kindOfReader(own(this.#entries('_registeredPrompts'), String(params?.['name']))?.callback)
  }

  /** `undefined`: the tool does not say, or can't be seen. */
  taskModeOf({ params }: JsonRpcRequest): TaskMode | undefined {
    const tool = own(this.#entries('_registeredTools'), String(params?.['name']))
    return tool && modeOf(tool)
  }

  /**
   * How a call goes on as a task whose client knows none, and by which tools that asks for it; `undefined`: it does not. Clients wait
   * for what an `outputSchema` describes.
   */
  plainTaskOf(request: JsonRpcRequest, tasks: TasksOption): PlainTask | undefined {
    if (request.method !== 'tools/call') return undefined
    const called = String(request.params?.['name'])
    const mode = taskModeFor(called, this.taskModeOf(request), tasks)
    if (mode !== 'auto' && mode !== 'always') return undefined
    const tools = this.#entries('_registeredTools') ?? {}
    if (own(tools, called)?.outputSchema !== undefined) return undefined
    const named = Object.entries(tools).flatMap(([name, tool]) => {
      const role = tool && tool.enabled !== false && (taskToolOf(tool.handler) ?? taskToolOf(tool.callback))
      return role ? [[role, name] as const] : []
    })
    const { status, result, cancel } = Object.fromEntries(named) as Partial<TaskToolNames>
    return status && result && cancel ? { mode, names: { status, result, cancel } } : undefined
  }

  get hasTasks(): boolean {
    return Object.values(this.#entries('_registeredTools') ?? {}).some(
      (tool) => tool !== undefined && (modeOf(tool) ?? 'never') !== 'never',
    )
  }

  /** Whether there is the tool or prompt that is asked for; `undefined`: that can't be seen. */
  has({ method, params }: JsonRpcRequest): boolean | undefined {
    const entries = this.#entries(listOf(method))
    return entries && Object.hasOwn(entries, String(params?.['name']))
  }

  /** What the server lists of a tool, and whether its handler is durable. */
  async findTool(name: string, ask: Ask): Promise<RecoveredTool | undefined> {
    const is = (listed: ListedTool) => listed.name === name
    const tool = await findListed({ method: 'tools/list', field: 'tools', is }, ask)
    if (typeof tool === 'string') return undefined
    return { name, durable: this.#kindOf(name) === 'durable', annotations: tool.found.annotations ?? {} }
  }

  /** Whether there is certainly nothing here that could serve a request for a prompt or a resource. */
  async lacks({ method, params }: JsonRpcRequest, ask: Ask): Promise<boolean> {
    if (method === 'prompts/get') {
      if (this.#handles(method) === false) return true
      // What is not listed is not there; unless there is no list.
      if (this.#handles('prompts/list') === false) return false
      const is = ({ name }: { name: string }) => name === params?.['name']
      return typeof (await findListed({ method: 'prompts/list', field: 'prompts', is }, ask)) === 'string'
    }
    if (method !== 'resources/read') return false
    return this.#handles(method) === false || this.#servesResource(String(params?.['uri'])) === false
  }

  /** `undefined`: that can't be seen. Resources that can be read need not be listed. */
  #servesResource(uri: string): boolean | undefined {
    const registered = RESOURCES.flatMap((list) => Object.keys(this.#entries(list) ?? {}))
    if (registered.length === 0) return undefined
    const entry = this.#resourceOf(uri)
    return entry !== undefined && entry.enabled !== false
  }

  /** What the SDK takes to read it: a resource goes before a template, and no template comes in place of another one. */
  #resourceOf(uri: string): Entry | undefined {
    const [resources, templates = {}] = RESOURCES.map((list) => this.#entries(list))
    const resource = own(resources, uri) ?? own(resources, normalUri(uri))
    return resource ?? Object.values(templates).find((entry) => entry && matches(entry, uri))
  }

  /** `undefined`: that can't be seen, as behind HTTP. */
  #handles(method: string): boolean | undefined {
    const { server = this.#server } = this.#server as { server?: object }
    const { _requestHandlers: handlers, fallbackRequestHandler: other } = server as SdkServer
    return handlers instanceof Map ? handlers.has(method) || other !== undefined : undefined
  }

  #kindOf(name: string): HandlerKind {
    const tools = this.#entries('_registeredTools')
    if (!tools) return 'listed'
    const tool = own(tools, name)
    if ([tool?.handler, tool?.callback].some((handler) => isDurable(handler))) return 'durable'
    return isRepeatable(tool?.annotations) ? 'repeatable' : 'plain'
  }

  #knownOf(list: string): Map<string, Known> {
    const entries = Object.entries(this.#entries(list) ?? {})
    return new Map(entries.flatMap(([name, entry]) => (entry ? [[name, new Known(entry)]] : [])))
  }

  #entries(list: string) {
    return (this.#server as unknown as Record<string, Entries | undefined>)[list]
  }
}

/** What is registered, as it was. */
class Known {
  readonly entry: Entry
  readonly isEnabled: boolean
  readonly parts: readonly unknown[]

  constructor(entry: Entry) {
    this.entry = entry
    this.isEnabled = entry.enabled !== false
    this.parts = partsOf(entry)
  }
}

/** All that `update()` of the SDK can change, beside the name under which it is there, and `enabled`. */
const partsOf = (entry: Entry) => [
  entry.handler ?? entry.callback ?? entry.readCallback,
  entry.name,
  entry.title,
  entry.description,
  entry.inputSchema ?? entry.argsSchema,
  entry.outputSchema,
  entry.annotations,
  entry.icons,
  entry.metadata,
  entry._meta,
  entry.resourceTemplate,
  entry.scopeChallenge,
]

const isSame = (one: Known, other: Known) =>
  one.entry === other.entry && one.parts.every((part, place) => part === other.parts[place])

const matches = ({ resourceTemplate }: Entry, uri: string) =>
  Boolean(resourceTemplate?.uriTemplate?.match?.(uri))

/** The SDK 2.x keeps the handler of a prompt to itself. */
const kindOfReader = (handler: unknown): HandlerKind => {
  if (handler === undefined) return 'listed'
  return isDurable(handler) ? 'durable' : 'plain'
}

const modeOf = ({ handler, callback }: Entry) =>
  (taskToolOf(handler) ?? taskToolOf(callback)) ? 'never' : (taskModeOf(handler) ?? taskModeOf(callback))

const own = (entries: Entries | undefined, name: string) =>
  entries && Object.hasOwn(entries, name) ? entries[name] : undefined
/** Where what a request names is registered, if it names a tool or a prompt. */
const listOf = (method: string) => (method === 'tools/call' ? '_registeredTools' : '_registeredPrompts')

/** As the SDK looks it up. */
const normalUri = (uri: string) => parseUrl(uri)?.href ?? uri
