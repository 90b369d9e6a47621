/** An event of a stream: what it says, and the place to go on from, if it has one. */
export type StreamEvent = { id: string | undefined; data: string }

/** The events of a stream, until it ends. Throws what breaks it. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body) {
    rest = (rest + decoder.decode(bytes, { stream: true })).replaceAll('\r\n', '\n')
    const blocks = rest.split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const lines = block.split('\n')
      const id = fieldOf(lines, 'id')[0]
      yield { id, data: fieldOf(lines, 'data').join('\n') }
    }
  }
}

function fieldOf(lines: readonly string[], name: string): string[] {
  return lines
    .filter((line) => line.startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).replace(/^ /, ''))
}
