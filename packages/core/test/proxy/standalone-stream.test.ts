import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Behind } from '../support/bad-answers.js'
import { byHand, head, jsonAnswer, SSE } from '../support/raw-upstream.js'
import type { RawRequest } from '../support/raw-upstream.js'
import { dataOf, Session } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

// The standalone stream of an upstream is heard for as long as a client listens, whatever becomes of its session.

const refused = (status: number) => head(`${status} No`, { 'content-length': '0', connection: 'close' })
const INFO = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'raw', version: '1' } }

/** An upstream that can lose its sessions, and says `status` to those. */
class Forgetful {
  readonly streams: { session: string | undefined; socket: Socket }[] = []
  #current: string | undefined
  #begun = 0
  token: string | undefined
  /** How often it says to a `ping` that it is not up yet. */
  starting = 0

  constructor(behind: Behind, status: number) {
    behind.upstream.instead = (request, socket) => this.#answer(request, socket, status)
  }

  #answer({ method, headers, message }: RawRequest, socket: Socket, status: number) {
    if (this.token !== undefined && headers['authorization'] !== `Bearer ${this.token}`) return refused(401)
    const session = headers['mcp-session-id']
    if (message.method === 'initialize') {
      this.#current = `s${++this.#begun}`
      const result = { jsonrpc: '2.0', id: message.id, result: INFO }
      return jsonAnswer(result, { 'mcp-session-id': this.#current, connection: 'close' })
    }
    if (message.method === 'ping' && this.starting-- > 0) return refused(503)
    if (session !== undefined && session !== this.#current) return refused(status)
    if (method !== 'GET') return undefined
    return byHand(socket, () => {
      this.streams.push({ session, socket })
      socket.write(`${SSE}retry: 10\n\n`)
    })
  }

  get begun() {
    return this.#begun
  }

  forget() {
    this.#current = undefined
  }

  cut() {
    this.streams.at(-1)?.socket.destroy()
  }

  say(data: string) {
    const message = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } }
    this.streams.at(-1)?.socket.write(`data: ${JSON.stringify(message)}\n\n`)
  }
}

/** An upstream that never loses a session, and has no standalone stream, no `ping`, and few notifications. */
class OfFewWords {
  begun = 0

  constructor(behind: Behind, status: number) {
    const unknown = new Set<string | undefined>(['ping', 'notifications/odd'])
    behind.upstream.instead = ({ method, message }) => {
      if (method === 'GET' || unknown.has(message.method)) return refused(status)
      if (message.method !== 'initialize') return undefined
      const result = { jsonrpc: '2.0', id: message.id, result: INFO }
      return jsonAnswer(result, { 'mcp-session-id': `s${++this.begun}`, connection: 'close' })
    }
  }
}

test.each([404, 400])(
  'is there in the new session of an upstream that was restarted and says %i',
  async (status) => {
    await using behind = await Behind.start()
    const upstream = new Forgetful(behind, status)
    const session = await Session.begin(behind.nodes)
    await using stream = await session.stream()
    await waitFor(() => upstream.streams.length === 1)
    upstream.starting = 2
    upstream.forget()
    upstream.cut()
    await waitFor(() => upstream.streams.length === 2)
    upstream.say('after')
    expect(dataOf((await stream.nextMessage()).message)).toBe('after')
    expect(upstream.streams.map(({ session: id }) => id)).toEqual(['s1', 's2'])
  },
)

test('goes on in the session that another node has begun', async () => {
  await using behind = await Behind.start({}, 2)
  const upstream = new Forgetful(behind, 404)
  const session = await Session.begin(behind.nodes)
  await using stream = await session.stream()
  await waitFor(() => upstream.streams.length === 1)
  upstream.forget()
  expect(await session.result('run', {}, { node: 1 })).toBe('fine')
  // By what was said there the first node hears of the session, while its stream is still that of the old one.
  expect((await session.request('logging/setLevel', { level: 'error' }, { node: 1 })).status).toBe(200)
  expect(await session.result('run')).toBe('fine')
  upstream.cut()
  await waitFor(() => upstream.streams.length === 2)
  upstream.say('after')
  expect(dataOf((await stream.nextMessage()).message)).toBe('after')
  expect(upstream.begun).toBe(2)
})

test('is there again when the client has a new token', async () => {
  await using behind = await Behind.start({ passHeaders: ['authorization'], principal: () => 'me' })
  const upstream = new Forgetful(behind, 404)
  upstream.token = 'one'
  const session = await Session.begin(behind.nodes, { who: 'one' })
  await using stream = await session.stream()
  await waitFor(() => upstream.streams.length === 1)
  upstream.token = 'two'
  upstream.cut()
  const gets = () => behind.upstream.requests.filter(({ method }) => method === 'GET').length
  await waitFor(() => gets() === 2)
  expect(await session.result('run', {}, { who: 'two' })).toBe('fine')
  await waitFor(() => upstream.streams.length === 2)
  upstream.say('after')
  expect(dataOf((await stream.nextMessage()).message)).toBe('after')
})

test.each([400, 404, 405])('an upstream that has none, and says %i, loses no session', async (status) => {
  await using behind = await Behind.start()
  behind.upstream.instead = ({ method }) => (method === 'GET' ? refused(status) : undefined)
  const session = await Session.begin(behind.nodes)
  await using stream = await session.stream()
  for (let n = 0; n < 3; n++) expect(await session.result('run')).toBe('fine')
  await stream.next()
  const count = (isCounted: (request: RawRequest) => boolean) =>
    behind.upstream.requests.filter(isCounted).length
  expect(count(({ message }) => message.method === 'initialize')).toBe(1)
  expect(count(({ method }) => method === 'GET')).toBe(1)
})

test.each([
  [400, 1],
  [404, 2],
])(
  'an upstream that has none, and says %i to whatever it does not know, is begun %i session(s) for it',
  async (status, begun) => {
    await using behind = await Behind.start()
    const sessions = new OfFewWords(behind, status)
    const session = await Session.begin(behind.nodes)
    for (let n = 0; n < 3; n++) {
      await using stream = await session.stream()
      await stream.next()
      expect(await session.result('run')).toBe('fine')
    }
    expect(sessions.begun).toBe(begun)
  },
)

test('an upstream that refuses a notification as it refuses whatever it does not know is begun one more session at most', async () => {
  await using behind = await Behind.start()
  const sessions = new OfFewWords(behind, 400)
  const session = await Session.begin(behind.nodes)
  for (let n = 0; n < 3; n++) {
    await session.notify('notifications/odd')
    expect(await session.result('run')).toBe('fine')
  }
  expect(behind.warnings.length).toBe(3)
  expect(sessions.begun).toBe(2)
})
