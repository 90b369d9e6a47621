import type { SentRequest } from './retry-options.js'

/** What of MCP a request to `fetch` is. Anything else, such as a token request of OAuth, may not be safe to repeat. */
export type Outgoing =
  | { kind: 'post'; requests: readonly SentRequest[]; cancels: readonly (string | number)[] }
  | { kind: 'get'; resumes: boolean }
  | { kind: 'delete' }
  | { kind: 'other' }

export function describeOutgoing({ method = 'GET', body }: RequestInit, headers: Headers): Outgoing {
  switch (method.toUpperCase()) {
    case 'GET':
      return headers.get('accept')?.includes('text/event-stream')
        ? { kind: 'get', resumes: headers.has('last-event-id') }
        : { kind: 'other' }
    case 'DELETE':
      return headers.has('mcp-session-id') ? { kind: 'delete' } : { kind: 'other' }
    case 'POST':
      return typeof body === 'string' ? describePost(body) : { kind: 'other' }
    default:
      return { kind: 'other' }
  }
}

function describePost(body: string): Outgoing {
  const messages = messagesIn(body)
  if (messages.length === 0) return { kind: 'other' }
  const cancelled = messages.filter(({ method }) => method === 'notifications/cancelled')
  return {
    kind: 'post',
    requests: messages.filter(isRequest),
    cancels: cancelled.map(({ params }) => params?.['requestId']).filter(isId),
  }
}

type Message = { jsonrpc: '2.0' } & Partial<SentRequest>

function messagesIn(body: string): Message[] {
  try {
    const parsed: unknown = JSON.parse(body)
    const list = Array.isArray(parsed) ? (parsed as unknown[]) : [parsed]
    return list.every(isMessage) ? list : []
  } catch {
    return []
  }
}

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && (value as Message).jsonrpc === '2.0'

const isRequest = (message: Message): message is Message & SentRequest =>
  isId(message.id) && typeof message.method === 'string'

const isId = (value: unknown): value is string | number =>
  typeof value === 'string' || typeof value === 'number'
