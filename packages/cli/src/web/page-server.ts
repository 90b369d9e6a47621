import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { CallPlace } from '@mcp-durable/core/inspect'
import { asCliError } from '../errors.js'
import { act, readAct } from './act.js'
import type { ActServices } from './act.js'
import { encode } from './encode.js'
import { EventStream } from './event-stream.js'
import { readFiles } from './files.js'
import type { Guard } from './guard.js'
import type { Handles } from './handles.js'
import type { OpenFeeds } from './open-feeds.js'
import type { Search } from './search.js'
import type { Watcher } from './watcher.js'
import type { CallFrame, SessionFrame } from './wire.js'

export type PageServices = {
  watcher: Watcher
  calls: OpenFeeds<CallPlace, CallFrame>
  sessions: OpenFeeds<string, SessionFrame>
  search: Search
  handles: Handles
  /** Without it nothing is acted on. */
  acting: ActServices | undefined
}

/** What a browser follows beside the overview. */
type Asked = { kind: 'call' | 'session'; name: string }

const MOST_STREAMS = 64
const MOST_BODY = 16 * 1024
/** Whoever sends more than this is not waited for. */
const MOST_READ = 1024 * 1024

const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

/** Serves the page, what it shows, and what it may do. */
export class PageServer {
  readonly #services: PageServices
  readonly #guard: Guard
  readonly #files = readFiles()
  readonly #streams = new Set<EventStream>()
  readonly server: Server

  constructor(services: PageServices, guard: Guard) {
    this.#services = services
    this.#guard = guard
    this.server = createServer((request, response) => {
      for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
      this.#serve(request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy()
        else answer(response, 503, { ok: false, text: asCliError(error).message })
      })
    })
  }

  close() {
    for (const stream of this.#streams) stream.end()
    this.server.close()
    this.server.closeIdleConnections()
  }

  async #serve(request: IncomingMessage, response: ServerResponse) {
    const guard = this.#guard
    const refusal = guard.refusal(request)
    if (refusal !== undefined) return answer(response, 403, { ok: false, text: refusal })
    const { pathname, searchParams } = addressOf(request)
    const isGet = request.method === 'GET' || request.method === 'HEAD'
    if (isGet && (pathname === '/style.css' || pathname === '/icon.svg'))
      return this.#file(response, pathname)
    if (!guard.isKnown(request)) return this.#unknown(request, response, { pathname, searchParams })
    if (!isGet) return this.#post(request, response, pathname)
    switch (pathname) {
      case '/events':
        return this.#events(response, askedIn(searchParams))
      case '/calls':
        return this.#calls(response, searchParams)
      case '/login':
        return redirect(response)
      default:
        // One that is known already may come with its token again: it goes from the address.
        return searchParams.has('token') ? redirect(response) : this.#file(response, pathname)
    }
  }

  /** Whoever has no cookie yet may bring the token, in the address or in the form. */
  async #unknown(
    request: IncomingMessage,
    response: ServerResponse,
    { pathname, searchParams }: { pathname: string; searchParams: URLSearchParams },
  ) {
    const guard = this.#guard
    const isLogin = request.method === 'POST' && pathname === '/login'
    const form = isLogin ? new URLSearchParams(await bodyOf(request)) : searchParams
    const given = pathname === '/' || isLogin ? form.get('token') : null
    if (given !== null && guard.isToken(given.trim())) {
      response.setHeader('set-cookie', guard.setCookie(request))
      return redirect(response)
    }
    if (pathname === '/' || pathname === '/login') return this.#file(response, '/login', 401, given !== null)
    answer(response, 401, { ok: false, text: 'The token is needed.' })
  }

  async #post(request: IncomingMessage, response: ServerResponse, pathname: string) {
    const { acting } = this.#services
    if (pathname !== '/act') return answer(response, 404, { ok: false, text: 'There is nothing here.' })
    if (!acting)
      return answer(response, 403, { ok: false, text: 'This page is for looking only: --allow-actions.' })
    if (request.headers['content-type'] !== 'application/json')
      return answer(response, 415, { ok: false, text: 'application/json is needed.' })
    const body = await bodyOf(request)
    if (body === undefined) return answer(response, 413, { ok: false, text: 'That is too much.' })
    const wanted = readAct(body)
    if (!wanted) return answer(response, 400, { ok: false, text: 'This is nothing that can be done.' })
    answer(response, 200, await act(acting, wanted))
  }

  /** The overview; and a call, or a session. */
  #events(response: ServerResponse, asked: Asked | undefined) {
    if (this.#streams.size >= MOST_STREAMS)
      return answer(response, 503, { ok: false, text: 'Too many pages are open.' })
    const stream = new EventStream(response)
    this.#streams.add(stream)
    let unfollow = asked && this.#isKnown(asked) ? this.#follow(asked, stream) : undefined
    const unwatch = this.#services.watcher.listen((name, json) => {
      stream.send(name, json)
      // The last part of a picture. A page of another day may ask for what this one tells of.
      if (name === 'takeovers' && asked) unfollow ??= this.#follow(asked, stream)
    })
    response.on('close', () => {
      this.#streams.delete(stream)
      unwatch()
      unfollow?.()
    })
  }

  #isKnown({ kind, name }: Asked) {
    const { handles } = this.#services
    return (kind === 'call' ? handles.place(name) : handles.scope(name)) !== undefined
  }

  #follow(asked: Asked, stream: EventStream): () => void {
    const { kind, name } = asked
    const { handles, calls, sessions } = this.#services
    const tell = (frame: CallFrame | SessionFrame) => stream.send(kind, encode(frame))
    const place = handles.place(name)
    const scope = handles.scope(name)
    const end =
      kind === 'call'
        ? place && calls.listen(place, tell)
        : scope === undefined
          ? undefined
          : sessions.listen(scope, tell)
    if (end) return end
    const text = this.#isKnown(asked)
      ? `Too many ${kind}s are open here.`
      : `No such ${kind} is known here: find it again.`
    stream.send('refused', encode({ text }))
    return () => undefined
  }

  async #calls(response: ServerResponse, query: URLSearchParams) {
    try {
      answer(response, 200, await this.#services.search.find(query))
    } catch (error) {
      const { message, exitCode } = asCliError(error)
      answer(response, exitCode === 2 ? 400 : 503, { ok: false, text: message })
    }
  }

  #file(response: ServerResponse, path: string, status = 200, isWrong = false) {
    const file = this.#files.get(path)
    if (!file) return answer(response, 404, { ok: false, text: 'There is nothing here.' })
    const body = isWrong ? file.body.toString().replace(' hidden', '') : file.body
    response.writeHead(status, { 'content-type': file.type }).end(body)
  }
}

function answer(response: ServerResponse, status: number, body: unknown) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(encode(body))
}

function askedIn(query: URLSearchParams): Asked | undefined {
  for (const kind of ['call', 'session'] as const) {
    const name = query.get(kind)
    if (name !== null) return { kind, name }
  }
  return undefined
}

/** What stands before the path is no concern of a server. */
function addressOf({ url = '/' }: IncomingMessage): URL {
  const address = `http://page${url.startsWith('/') ? url : '/?'}`
  return new URL(URL.canParse(address) ? address : 'http://page/nothing')
}

const redirect = (response: ServerResponse) => void response.writeHead(303, { location: '/' }).end()

/** `undefined`: it is too large. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= MOST_BODY) chunks.push(chunk)
    else if (size > MOST_READ) request.destroy()
  }
  return size > MOST_BODY ? undefined : Buffer.concat(chunks).toString()
}
