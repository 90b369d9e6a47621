import { DurableError } from '../errors.js'
import type { JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'

/** Asks the server object; rejects with a `DurableError` if it has not answered by then. */
export type Ask = (request: JsonRpcRequest, withinMs: number) => Promise<JsonRpcResponse>

export type Listing<Item> = {
  method: 'tools/list' | 'prompts/list'
  field: 'tools' | 'prompts'
  is: (item: Item) => boolean
}

/** `none`: the server does not give such a list, or not in time. */
export type Found<Item> = { found: Item } | 'missing' | 'none'

const MAX_PAGES = 100
/** For all pages together: a call that is taken over waits for it. */
const SEARCH_MS = 30_000

/** Searches a list that a server object gives, page by page. */
export async function findListed<Item>(
  { method, field, is }: Listing<Item>,
  ask: Ask,
  withinMs = SEARCH_MS,
): Promise<Found<Item>> {
  const until = performance.now() + withinMs
  let cursor: unknown
  for (let page = 0; page < MAX_PAGES; page++) {
    const left = until - performance.now()
    if (left <= 0) return 'none'
    const params = cursor === undefined ? {} : { cursor }
    const response = await ask({ jsonrpc: '2.0', id: 0, method, params }, left).catch(noAnswer)
    const items = response && 'result' in response ? response.result[field] : undefined
    if (!response || !('result' in response) || !Array.isArray(items)) return 'none'
    const item = itemsIn<Item>(items).find(is)
    if (item !== undefined) return { found: item }
    cursor = response.result['nextCursor']
    if (cursor === undefined) return 'missing'
  }
  return 'none'
}

/** Behind HTTP a list may hold anything. */
export function itemsIn<Item>(list: readonly unknown[]): Item[] {
  return list.filter((item): item is Item & object => typeof item === 'object' && item !== null)
}

function noAnswer(error: unknown): undefined {
  if (!(error instanceof DurableError)) throw error
  return undefined
}
