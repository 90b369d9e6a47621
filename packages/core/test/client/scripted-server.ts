import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type Received = { method: string; headers: IncomingMessage['headers']; body: string; at: number }
export type Reply = (response: ServerResponse) => void

/** A server on a real socket that answers each request with the next reply, and stays with the last one. */
export interface ScriptedServer extends AsyncDisposable {
  readonly url: string
  readonly received: Received[]
  /** Resolves when so many requests have come. */
  until(count: number): Promise<void>
}

export async function scripted(replies: readonly Reply[], port = 0): Promise<ScriptedServer> {
  const received: Received[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.once('end', () => {
      const reply = replies[received.length] ?? replies.at(-1)
      received.push({ method: request.method ?? '', headers: request.headers, body, at: Date.now() })
      reply?.(response)
      server.emit('received')
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    received,
    async until(count) {
      while (received.length < count) await once(server, 'received')
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const events = { 'content-type': 'text/event-stream' }

export const reset: Reply = (response) => void response.socket?.destroy()
export const never: Reply = () => undefined
export const status =
  (code: number, headers: Record<string, string> = {}): Reply =>
  (response) =>
    void response.writeHead(code, headers).end(`status ${code}`)
export const json =
  (value: unknown): Reply =>
  (response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
/** The connection breaks in the middle of the body. */
export const halfJson: Reply = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 })
  response.write('{"jsonrpc":"2.0"', () => response.socket?.destroy())
}
/** An event stream that is written so far, and then breaks, ends, or stays open. */
export const stream =
  (text: string, then: 'break' | 'end' | 'stay'): Reply =>
  (response) => {
    response.writeHead(200, events)
    response.flushHeaders()
    const go = () => {
      if (then === 'end') response.end()
      // The client shall have read what was written: a reset may throw that away.
      if (then === 'break') setImmediate(() => response.socket?.destroy())
    }
    if (text === '') go()
    else response.write(text, go)
  }
/** The begin of a body, and no more. */
export const part =
  (type: string, text: string): Reply =>
  (response) => {
    response.writeHead(200, { 'content-type': type })
    response.flushHeaders()
    if (text !== '') response.write(text)
  }
/** A body in pieces. */
export const slowly =
  (pieces: readonly string[], everyMs: number, type = 'application/json'): Reply =>
  (response) => {
    part(type, '')(response)
    void (async () => {
      for (const piece of pieces) {
        await sleep(everyMs)
        if (piece !== '') response.write(piece)
      }
      response.end()
    })()
  }
