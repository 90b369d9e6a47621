import { durable, durableTool, sessionIdOf, sessionState, sortedMap } from '@mcp-durable/core'
import type { Durable, Store } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'
import { startRedis, waitFor, type RedisServer } from '../../test-support/index.js'

/** Whatever a terminal might act on, or a person not see; after its line feed a line that looks like one of ours. */
export const POISON = [
  '\u001B[5m\u001B]0;title\u0007\b\u007F', // ESC, BEL, BS, DEL
  '\r\nINJECTED\t\v\f',
  '\u009B5m\u0085\u2028\u2029', // C1, and other line ends
  '\u202A\u202E\u2066\u2069\u200E\u200F\u061C', // direction
  '\u200B\u200D\u2060\uFEFF\u00AD\u{E0041}\uFE0F', // no width
  '<img src=x onerror="document.title=1"><script>document.title=1</script>\'&amp;',
  '\uD800', // half of a pair
].join('x')
/** The same for where texts are UTF-8: arguments, and names of keys. */
export const POISONED_NAME = POISON.replace('\uD800', '')

/** A step may not have a line feed in its name. */
const STEP = POISON.replaceAll('\n', '')

const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** A Redis in which everything that anybody may choose is poisoned: by a client, a tool, a node, and another program. */
export class PoisonedRedis implements AsyncDisposable {
  /** A session with an id of the library's; its calls have one too. */
  session = ''
  openCall = ''
  endedCall = ''
  /** It belongs to no session, and asks. */
  callAlone = ''
  readonly client: Redis
  readonly store: Store
  readonly #redis: RedisServer
  readonly #mcp: Durable
  #header = ''

  private constructor(redis: RedisServer) {
    this.#redis = redis
    this.client = new Redis(redis.url)
    this.store = redisStore(this.client)
    this.#mcp = durable({
      server: () => poisonedServer(),
      store: this.store,
      principal: () => POISONED_NAME,
      logger: { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} },
    })
  }

  static async start(): Promise<PoisonedRedis> {
    const poisoned = new PoisonedRedis(await startRedis())
    await poisoned.#fill()
    return poisoned
  }

  get url() {
    return this.#redis.url
  }

  async #fill() {
    await this.#post({
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: '2025-11-25',
        capabilities: { elicitation: {} },
        clientInfo: { name: POISON, version: POISON },
      },
    })
    await this.#post({ method: 'notifications/initialized', params: { [POISON]: POISON } })
    await this.#post({ id: 2, method: 'tools/call', params: { name: POISON } })
    const inspect = inspectRedis(this.client)
    this.endedCall = (await inspect.calls.of(this.session))[0] ?? ''
    void this.#post({ id: 3, method: 'tools/call', params: { name: `ask ${POISON}` } })
    this.openCall = await waitFor(async () => {
      const [open] = await this.store.listOpenCalls(this.session)
      return open?.callId
    })
    await waitFor(async () => (await inspect.logs.size(this.session, `call:${this.openCall}`)) > 3, {
      what: 'the question',
    })
    await this.#mcp.broadcast({ method: `notifications/${POISON}`, params: { [POISON]: POISON } })
    await sessionState(this.store, this.session).set({ [POISON]: POISON })
    await sortedMap(this.store, POISONED_NAME).insert({ [POISONED_NAME]: Buffer.from(POISON) })
    await this.store.beat(
      POISONED_NAME,
      JSON.stringify({ host: POISON, pid: 7, startedAt: 0, clock: Date.now() + 60_000 }),
    )
    await this.#callWithoutSession()
    await this.#fillFromElsewhere()
  }

  async #callWithoutSession() {
    const name = `alone ${POISONED_NAME}`
    const own = 'io.modelcontextprotocol'
    const _meta = {
      [`${own}/protocolVersion`]: '2026-07-28',
      [`${own}/clientCapabilities`]: { elicitation: {} },
      [`${own}/clientInfo`]: { name: POISON, version: POISON },
    }
    const response = await this.#mcp.fetch(
      new Request('http://127.0.0.1/mcp', {
        method: 'POST',
        headers: {
          ...headers,
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=`,
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, _meta } }),
      }),
    )
    this.callAlone = /^id: ([\w-]{22})\./m.exec(await response.text())?.[1] ?? ''
  }

  /** What no node writes, but whoever else may write to this Redis. */
  async #fillFromElsewhere() {
    const state = { key: 'initialize', data: '{}' }
    const ttlMs = 3_600_000
    const id = `b${POISONED_NAME}`
    await this.store.createSession(
      { id, principal: POISONED_NAME, protocolVersion: POISONED_NAME, state, ttlMs },
      { maxPerPrincipal: 9 },
    )
    await this.store.openCall({
      scope: id,
      callId: `c${POISONED_NAME}`,
      owner: POISONED_NAME,
      principal: POISONED_NAME,
      requestKeys: ['1'],
      data: POISONED_NAME,
      ttlMs,
      maxOpenCalls: 9,
    })
    await this.client.xadd(`mcp:{${POISONED_NAME}}:out`, '*', 'd', POISONED_NAME)
    await this.client.set(`mcp:{x}:${POISONED_NAME}`, 'what is this')
  }

  async #post(message: object) {
    const response = await this.#mcp.fetch(
      new Request('http://127.0.0.1/mcp', {
        method: 'POST',
        headers: { ...headers, ...(this.#header && { 'mcp-session-id': this.#header }) },
        body: JSON.stringify({ jsonrpc: '2.0', ...message }),
      }),
    )
    if (!response.ok) throw new Error(await response.text())
    this.#header ||= response.headers.get('mcp-session-id') ?? ''
    this.session = sessionIdOf(this.#header)
    return response.text()
  }

  async [Symbol.asyncDispose]() {
    await this.#mcp.close({ graceMs: 0 })
    await this.store.close()
    this.client.disconnect()
    await this.#redis[Symbol.asyncDispose]()
  }
}

function poisonedServer(): McpServer {
  const server = new McpServer({ name: POISON, version: POISON })
  const told = durableTool(async (_args, ctx) => {
    await ctx.atLeastOnce(STEP, () => POISON)
    await ctx.notify({ method: `notifications/${POISON}`, params: { [POISON]: POISON } })
    return { content: [{ type: 'text' as const, text: POISON }] }
  })
  const asking = durableTool(async (_args, ctx) => {
    await ctx.atMostOnce(STEP, () => POISON)
    const requestedSchema = { type: 'object', properties: {} } as const
    const { action } = await ctx.elicit(`ask ${STEP}`, { message: POISON, requestedSchema })
    return { content: [{ type: 'text' as const, text: action }] }
  })
  server.registerTool(POISON, { inputSchema: {} }, told)
  server.registerTool(`ask ${POISON}`, { inputSchema: {} }, asking)
  // Its name stands in a header too, which has no half of a pair.
  server.registerTool(`alone ${POISONED_NAME}`, { inputSchema: {} }, asking)
  return server
}
