import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { Behind } from '../support/bad-answers.js'
import { byHand, head, jsonAnswer, SSE } from '../support/raw-upstream.js'
import type { RawRequest } from '../support/raw-upstream.js'
import { Session } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

// A question that an upstream asks outside of its requests belongs to no call: any node may hand it on, and any may hear the answer.

const INFO = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'raw', version: '1' } }
const empty = (status: string) => head(status, { 'content-length': '0', connection: 'close' })

/** An upstream that keeps what it says outside of requests, by numbers, for whoever opens that stream again. */
class Asking {
  readonly #said: string[] = []
  readonly #streams = new Set<Socket>()
  readonly #keepsEvents: boolean
  /** What it was told that is no request. */
  readonly told: RawRequest['message'][] = []
  /** It is away for all that is no request. */
  isAway = false
  /** How often it was found away. */
  missed = 0

  #session = 1
  onInitialized: () => void = () => undefined

  constructor(behind: Behind, keepsEvents = true) {
    this.#keepsEvents = keepsEvents
    behind.upstream.instead = ({ method, headers, message }, socket) => {
      if (message.method === 'initialize')
        return jsonAnswer(
          { jsonrpc: '2.0', id: message.id, result: INFO },
          { 'mcp-session-id': `s${this.#session}`, connection: 'close' },
        )
      if (headers['mcp-session-id'] !== `s${this.#session}`) return empty('404 No')
      if (method === 'GET') return byHand(socket, () => this.#open(socket, headers['last-event-id']))
      if (method !== 'POST' || (message.id !== undefined && message.method !== undefined)) return undefined
      if (this.isAway) {
        this.missed++
        return empty('503 Away')
      }
      this.told.push(message)
      if (message.method === 'notifications/initialized') this.onInitialized()
      return empty('202 Accepted')
    }
  }

  #open(socket: Socket, lastEventId = '0') {
    this.#streams.add(socket)
    socket.write(SSE)
    if (this.#keepsEvents) for (const event of this.#said.slice(Number(lastEventId))) socket.write(event)
  }

  get opened() {
    return this.#streams.size
  }

  /** It knows its session no more, and all that it has said there. */
  lose() {
    this.#session++
    this.#said.length = 0
    for (const socket of this.#streams) socket.destroy()
  }

  say(message: object, hasId = this.#keepsEvents) {
    const id = hasId ? `id: ${this.#said.length + 1}\n` : ''
    const event = `${id}data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`
    if (hasId) this.#said.push(event)
    for (const socket of this.#streams) if (!socket.destroyed) socket.write(event)
  }

  get answers() {
    return this.told.filter(({ method, id }) => method === undefined && id !== undefined)
  }
}

type Message = {
  id: string
  method: string
  params?: { requestId?: string; _meta?: { progressToken?: string } }
}
const QUESTION = { id: 0, method: 'roots/list', params: { _meta: { progressToken: 'theirs' } } }
const ANSWER = { jsonrpc: '2.0', id: 0, result: { roots: [] } }
const LAST = { method: 'notifications/message', params: { level: 'info', data: 'last' } }

async function begin(keepsEvents = true) {
  const behind = await Behind.start({}, 2)
  const upstream = new Asking(behind, keepsEvents)
  const session = await Session.begin(behind.nodes)
  const stream = await session.stream()
  await waitFor(() => upstream.opened === 1)
  const next = async () => (await stream.nextMessage()).message as Message
  const asked = (question: object = QUESTION) => {
    upstream.say(question)
    return next()
  }
  const stop = () => stream[Symbol.asyncDispose]()
  const leave = () => behind.mcps[0]!.close({ graceMs: 0 })
  const answered = () => waitFor(() => upstream.answers.length > 0, { what: 'the answer' })
  return { behind, upstream, session, next, asked, stop, leave, answered }
}

describe('a question outside of requests, of an upstream that keeps its events', () => {
  test('is answered through another node, after the one that has handed it on', async () => {
    const { behind, upstream, session, asked, leave, answered } = await begin()
    await using _ = behind
    const { id } = await asked()
    await leave()
    await using again = await session.stream(undefined, { node: 1 })
    await waitFor(() => upstream.opened === 2)
    await session.answer(id, { roots: [] }, { node: 1 })
    await answered()
    expect(upstream.answers).toEqual([ANSWER])
    upstream.say(LAST)
    expect((await again.nextMessage()).message).toMatchObject(LAST)
  })

  test('is answered by what its client had said before another node heard of it', async () => {
    const { behind, upstream, session, asked, leave, answered } = await begin()
    await using _ = behind
    const { id } = await asked()
    await leave()
    await session.answer(id, { roots: [] }, { node: 1 })
    await using again = await session.stream(undefined, { node: 1 })
    await answered()
    upstream.say(LAST)
    expect((await again.nextMessage()).message).toMatchObject(LAST)
    expect(upstream.answers).toEqual([ANSWER])
  })

  test('is answered once where two nodes know of it, the first time', async () => {
    const { behind, upstream, session, asked, answered } = await begin()
    await using _ = behind
    const { id } = await asked()
    await session.stream(undefined, { node: 1 })
    await waitFor(() => upstream.opened === 2)
    await session.answer(id, { roots: [] }, { node: 1 })
    await session.answer(id, { roots: [{ uri: 'file:///late' }] }, { node: 0 })
    await answered()
    // What follows on either node comes behind it.
    for (const node of [0, 1]) await session.notify('notifications/odd', {}, { node })
    await waitFor(() => upstream.told.filter(({ method }) => method === 'notifications/odd').length === 2)
    expect(upstream.answers).toEqual([ANSWER])
  })

  test('is answered by the node that has handed it on, though its client listens no more', async () => {
    const { behind, upstream, session, asked, stop, answered } = await begin()
    await using _ = behind
    const { id } = await asked()
    await stop()
    await session.answer(id, { roots: [] })
    await answered()
    expect(upstream.answers).toEqual([ANSWER])
  })

  test('hears of progress through another node, by the token of the upstream', async () => {
    const { behind, upstream, session, asked, leave } = await begin()
    await using _ = behind
    const { params } = await asked()
    await leave()
    await session.stream(undefined, { node: 1 })
    await waitFor(() => upstream.opened === 2)
    const progressToken = params?._meta?.progressToken
    const progressed = () => upstream.told.find(({ method }) => method === 'notifications/progress')
    await waitFor(async () => {
      await session.notify('notifications/progress', { progressToken, progress: 1 }, { node: 1 })
      return progressed() !== undefined
    })
    expect(progressed()?.params).toMatchObject({ progressToken: 'theirs', progress: 1 })
  })

  test('is withdrawn through another node, and then not answered', async () => {
    const { behind, upstream, session, asked, leave } = await begin()
    await using _ = behind
    const { id } = await asked()
    await leave()
    await using again = await session.stream(undefined, { node: 1 })
    await waitFor(() => upstream.opened === 2)
    upstream.say({ method: 'notifications/cancelled', params: { requestId: 0, reason: 'timeout' } })
    const withdrawn = (await again.nextMessage()).message as Message
    expect(withdrawn).toMatchObject({ method: 'notifications/cancelled', params: { requestId: id } })
    await session.answer(id, { roots: [] }, { node: 1 })
    await session.notify('notifications/odd', {}, { node: 1 })
    await waitFor(() => upstream.told.some(({ method }) => method === 'notifications/odd'))
    expect(upstream.answers).toEqual([])
  })

  test.each([true, false])(
    'is the newest of its id that is withdrawn, by an event that has an id: %s',
    async (hasId) => {
      const { behind, upstream, asked, next } = await begin()
      await using _ = behind
      const [, newest] = [await asked(), await asked()]
      upstream.say({ method: 'notifications/cancelled', params: { requestId: 0 } }, hasId)
      expect(await next()).toMatchObject({ params: { requestId: newest.id } })
    },
  )

  test('may come as the upstream hears that its new session has begun', async () => {
    const { behind, upstream, session, next, leave, answered } = await begin()
    await using _ = behind
    upstream.onInitialized = () => upstream.say(QUESTION)
    upstream.lose()
    const { id } = await next()
    await leave()
    await session.answer(id, { roots: [] }, { node: 1 })
    await answered()
    expect(upstream.answers).toEqual([ANSWER])
  })

  test('is not kept where its id is long, and answered all the same', async () => {
    const { behind, upstream, session, asked, answered } = await begin()
    await using _ = behind
    const long = 'x'.repeat(2000)
    const { id } = await asked({ ...QUESTION, id: long })
    expect(await behind.storage.forNode().readValue(session.id, 'mcp-durable:asked')).toBeUndefined()
    await session.answer(id, { roots: [] }, { node: 1 })
    await answered()
    expect(upstream.answers).toEqual([{ ...ANSWER, id: long }])
  })

  test('is forgotten when it is answered; of very many the oldest are', async () => {
    const { behind, session, asked, answered } = await begin()
    await using _ = behind
    const kept = async () => {
      const value = await behind.storage.forNode().readValue(session.id, 'mcp-durable:asked')
      return (JSON.parse(value?.data ?? '[]') as { id: number }[]).map(({ id }) => id)
    }
    const { id } = await asked()
    expect(await kept()).toEqual([0])
    await session.answer(id, { roots: [] })
    await answered()
    await waitFor(async () => (await kept()).length === 0)
    for (let more = 1; more <= 105; more++) await asked({ id: more, method: 'roots/list' })
    expect(await kept()).toEqual(Array.from({ length: 100 }, (_unused, index) => index + 6))
  })

  test('waits for an upstream that is away', async () => {
    const { behind, upstream, session, asked, leave, answered } = await begin()
    await using _ = behind
    const { id } = await asked()
    upstream.isAway = true
    await session.answer(id, { roots: [] })
    await waitFor(() => upstream.missed > 0)
    await leave()
    upstream.isAway = false
    await session.stream(undefined, { node: 1 })
    await answered()
    expect(upstream.answers).toEqual([ANSWER])
  })
})

test('of an upstream that keeps no events, it is the node’s that has handed it on', async () => {
  const { behind, upstream, session, asked, answered } = await begin(false)
  await using _ = behind
  const { id } = await asked()
  await session.answer(id, { roots: [] }, { node: 1 })
  await answered()
  expect(upstream.answers).toEqual([ANSWER])
})
