import type { ClientRequest, IncomingMessage } from 'node:http'

/** The body of a request, which can be sent again as long as it is not `spent`. */
export interface Body {
  /** In bytes; undefined when there is none, or when it is too long to keep. */
  length: number | undefined
  /** True once a part went out that was not kept: no other backend can have it. */
  spent: boolean
  sendTo(upstream: ClientRequest): void
}

/** Reads the body up to `limit` bytes. What is longer is passed on as it comes, and only once. */
export async function readReplayable(req: IncomingMessage, limit: number): Promise<Body> {
  const chunks: Buffer[] = []
  let size = 0
  const iterator = req.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>
  for await (const chunk of iterator) {
    chunks.push(chunk)
    size += chunk.length
    if (size > limit) return rest(req, Buffer.concat(chunks))
  }
  const kept = Buffer.concat(chunks)
  const hasBody = size > 0 || req.headers['content-length'] !== undefined
  return { length: hasBody ? size : undefined, spent: false, sendTo: (upstream) => void upstream.end(kept) }
}

function rest(req: IncomingMessage, beginning: Buffer): Body {
  return {
    length: undefined,
    spent: false,
    sendTo(upstream) {
      this.spent = true
      upstream.write(beginning)
      // Not pipeline: it would tear the client's connection down before it could read a refusal.
      req.pipe(upstream)
    },
  }
}
