import { durableFetch } from '@mcp-durable/core/client'
import type { FetchLike } from '@mcp-durable/core/client'
import type { ObservedCalls } from './observed-call.js'
import { hasEvents, tapped } from './tapped.js'

type ToolCall = {
  id: string | number
  method?: string
  params?: { arguments?: { id?: string }; requestState?: string; _meta?: { progressToken?: unknown } }
}

/** Sends what a caller of that name sends; `undefined`: of none. */
export function as(name: string | undefined): FetchLike {
  return (url, init = {}) => {
    const headers = new Headers(init.headers)
    if (name !== undefined) headers.set('x-principal', name)
    return fetch(url, { ...init, headers })
  }
}

/** The `fetch` of a client that hears nothing of a node's death; every event of every attempt is noted. */
export function observedFetch(calls: ObservedCalls, send: FetchLike = fetch): FetchLike {
  return durableFetch({
    fetch: async (url, init = {}) => observed(await send(url, init), init, calls),
    maxDelayMs: 500,
    // As the clients do that use it: on a busy machine, node after node may die before it answers.
    giveUpAfterMs: 120_000,
    onRetry: ({ method }) => {
      if (method === 'POST') calls.reposts++
    },
  })
}

function observed(response: Response, init: RequestInit, calls: ObservedCalls): Response {
  const headers = new Headers(init.headers)
  const sent = init.method === 'POST' ? toolCallIn(init.body) : undefined
  const id = sent?.params?.arguments?.id
  // Sent again with answers, a request goes on where the one before has ended.
  const after = headers.get('last-event-id') ?? sent?.params?.requestState
  if (!hasEvents(response) || (id === undefined && after === undefined)) return response
  const connection = calls.connected(id, after, {
    asker: sent && { id: sent.id, token: sent.params?._meta?.progressToken },
    key: headers.get('idempotency-key') ?? undefined,
    node: response.headers.get('x-node') ?? undefined,
  })
  return tapped(response, {
    onEvent: (event) => {
      calls.belongs(id, event.id)
      connection?.events.push(event)
    },
    onEnded: () => {
      if (connection) connection.closedAt ??= Date.now()
    },
  })
}

function toolCallIn(body: RequestInit['body']): ToolCall | undefined {
  if (typeof body !== 'string') return undefined
  const message = JSON.parse(body) as ToolCall
  return message.method === 'tools/call' ? message : undefined
}
