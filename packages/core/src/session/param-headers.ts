import type { JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { itemsIn } from './listings.js'

/** Parameters of a tool that a header repeats, and the names of these headers after `Mcp-Param-`. */
export type MirroredParams = readonly { param: string; header: string }[]

type ListedTool = {
  name: string
  inputSchema?: { properties?: Record<string, Record<string, unknown> | undefined> }
}

const MOST_PAGES = 100
/** What a name of a header is made of (RFC 9110, section 5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
const NONE: MirroredParams = []

/** Which parameters of its tools a server object wants repeated in headers (2026-07-28, "Custom Headers from Tool Parameters"). */
export class ParamHeaders {
  #tools: Promise<ReadonlyMap<string, MirroredParams>> | ReadonlyMap<string, MirroredParams> | undefined

  /** `ask`: how the server object is asked for its list, once until it has changed. */
  of(
    tool: string,
    ask: (request: JsonRpcRequest) => Promise<JsonRpcResponse>,
  ): MirroredParams | Promise<MirroredParams> {
    this.#tools ??= this.#read(ask)
    if (this.#tools instanceof Promise) return this.#tools.then((tools) => tools.get(tool) ?? NONE)
    return this.#tools.get(tool) ?? NONE
  }

  /** The list has changed. */
  forget() {
    this.#tools = undefined
  }

  #read(ask: (request: JsonRpcRequest) => Promise<JsonRpcResponse>) {
    const reading = listed(ask)
    reading.then(
      (tools) => this.#tools === reading && (this.#tools = tools),
      () => this.#tools === reading && (this.#tools = undefined),
    )
    return reading
  }
}

async function listed(ask: (request: JsonRpcRequest) => Promise<JsonRpcResponse>) {
  const mirrored = new Map<string, MirroredParams>()
  let cursor: unknown
  for (let page = 0; page < MOST_PAGES; page++) {
    const params = cursor === undefined ? {} : { cursor }
    const response = await ask({ jsonrpc: '2.0', id: 0, method: 'tools/list', params })
    const tools = 'result' in response ? response.result['tools'] : undefined
    if (!('result' in response) || !Array.isArray(tools)) break
    for (const { name, inputSchema } of itemsIn<ListedTool>(tools)) {
      const found = Object.entries(inputSchema?.properties ?? {}).flatMap(([param, schema]) => {
        const header = schema?.['x-mcp-header']
        return typeof header === 'string' && TOKEN.test(header) ? [{ param, header }] : []
      })
      if (found.length > 0) mirrored.set(name, found)
    }
    cursor = response.result['nextCursor']
    if (cursor === undefined) break
  }
  return mirrored
}
