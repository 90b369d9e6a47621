export interface SseEvent {
  id?: string
  data: string
}

/**
 * The events of a response as they arrive. Unlike a browser's EventSource it also yields an event without data:
 * a priming event is nothing but an id to resume from.
 */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<SseEvent> {
  let rest = ''
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split(/\r?\n\r?\n/)
    rest = blocks.pop()!
    for (const block of blocks) {
      const event = parseEvent(block)
      if (event !== undefined) yield event
    }
  }
}

function parseEvent(block: string): SseEvent | undefined {
  const fields = block.split(/\r?\n/).map((line) => /^(\w+): ?(.*)$/.exec(line))
  const values = (name: string): string[] => fields.filter((f) => f?.[1] === name).map((f) => f![2]!)
  const id = values('id').at(-1)
  const data = values('data')
  // A keep-alive comment, or a lone retry.
  if (id === undefined && data.length === 0) return undefined
  return { ...(id !== undefined && { id }), data: data.join('\n') }
}
