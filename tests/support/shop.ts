import { setTimeout as sleep } from 'node:timers/promises'
import { durable, durableTool } from '@mcp-durable/core'
import type { Durable } from '@mcp-durable/core'
import { file } from '@mcp-durable/sqlite-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'

const protocol = '2025-11-25'
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** A node in this process, over a file, with a tool that works for a while, sleeps, and goes on when it is woken. */
export class Shop implements AsyncDisposable {
  readonly #mcp: Durable
  #session = ''
  #nextId = 1

  private constructor(path: string) {
    this.#mcp = durable({ server: shopServer, store: file(path) })
  }

  static async open(path: string): Promise<Shop> {
    const shop = new Shop(path)
    const clientInfo = { name: 'desk', version: '2.1' }
    await shop.#post({
      id: 0,
      method: 'initialize',
      params: { protocolVersion: protocol, capabilities: {}, clientInfo },
    })
    await shop.#post({ method: 'notifications/initialized' })
    return shop
  }

  /** Resolves with the answer of the call. */
  async call(name: string, args: object = {}): Promise<string> {
    return this.#post({ id: this.#nextId++, method: 'tools/call', params: { name, arguments: args } })
  }

  async #post(message: object): Promise<string> {
    const response = await this.#mcp.fetch(
      new Request('http://127.0.0.1/mcp', {
        method: 'POST',
        headers: { ...headers, ...(this.#session && { 'mcp-session-id': this.#session }) },
        body: JSON.stringify({ jsonrpc: '2.0', ...message }),
      }),
    )
    this.#session ||= response.headers.get('mcp-session-id') ?? ''
    return response.text()
  }

  async [Symbol.asyncDispose]() {
    await this.#mcp.close({ graceMs: 0 })
  }
}

function shopServer(): McpServer {
  const server = new McpServer({ name: 'shop', version: '1' })
  const ship = durableTool(async (_args, ctx) => {
    await ctx.atLeastOnce('read the order', () => sleep(60))
    await ctx.atLeastOnce('reserve stock', () => sleep(150))
    await ctx.notify({ method: 'notifications/message', params: { level: 'info', data: 'reserved' } })
    await ctx.sleep('until the truck is there', 3_600_000)
    await ctx.atMostOnce('load the truck', () => sleep(120))
    await ctx.atLeastOnce('tell the customer', () => sleep(40))
    return { content: [{ type: 'text' as const, text: 'shipped' }] }
  })
  const pay = durableTool(async (_args, ctx) => {
    await ctx.atMostOnce('charge the card', () => sleep(30))
    return { content: [{ type: 'text' as const, text: 'the card is refused' }], isError: true }
  })
  server.registerTool('ship_order', { inputSchema: {} }, ship)
  server.registerTool('take_payment', { inputSchema: {} }, pay)
  return server
}
