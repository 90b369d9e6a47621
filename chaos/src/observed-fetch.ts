import { durableFetch } from '@mcp-durable/core/client'
import type { FetchLike } from '@mcp-durable/core/client'
import { createParser } from 'eventsource-parser'
import type { ObservedCalls } from './observed-call.js'

type ToolCall = { method?: string; params?: { arguments?: { id?: string } } }

/** The `fetch` of a client that hears nothing of a node's death; every event of every attempt is noted. */
export function observedFetch(calls: ObservedCalls, send: FetchLike = fetch): FetchLike {
  return durableFetch({
    fetch: async (url, init = {}) => observed(await send(url, init), init, calls),
    maxDelayMs: 500,
    onRetry: ({ method }) => {
      if (method === 'POST') calls.reposts++
    },
  })
}

function observed(response: Response, init: RequestInit, calls: ObservedCalls): Response {
  const after = new Headers(init.headers).get('last-event-id') ?? undefined
  const id = init.method === 'POST' ? idOfCall(init.body) : undefined
  const hasEvents = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  if (!response.body || !hasEvents || (id === undefined && after === undefined)) return response
  const connection = calls.connected(id, after)
  const parser = createParser({
    onEvent: (event) => {
      if (event.id === undefined) return
      calls.belongs(id, event.id)
      connection?.events.push({ id: event.id, data: event.data, at: Date.now() })
    },
  })
  const decoder = new TextDecoder()
  const tap = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      parser.feed(decoder.decode(chunk, { stream: true }))
      controller.enqueue(chunk)
    },
  })
  return new Response(response.body.pipeThrough(tap), { status: response.status, headers: response.headers })
}

function idOfCall(body: RequestInit['body']): string | undefined {
  if (typeof body !== 'string') return undefined
  const { method, params } = JSON.parse(body) as ToolCall
  return method === 'tools/call' ? params?.arguments?.id : undefined
}
