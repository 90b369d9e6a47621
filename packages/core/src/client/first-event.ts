export type Chunk = Uint8Array<ArrayBuffer>
type Reader = ReadableStreamDefaultReader<Chunk>
export type Source = Pick<Reader, 'read'>

/** More than this is not held back; whatever it is, it is no priming event. */
const MAX_HELD_CHARS = 64 * 1024

/**
 * Reads an event stream up to its first event. Until then a client has no event id: if the stream broke, an official
 * client would wait in vain. Resolves with what was read, once there is an event, the stream has ended, or `within` is
 * over; rejects when the stream breaks before.
 */
export async function untilFirstEvent(reader: Source, within?: Promise<void>): Promise<Held> {
  const decoder = new TextDecoder()
  const chunks: Chunk[] = []
  let text = ''
  for (;;) {
    const reading = reader.read()
    const read = await (within ? Promise.race([reading, within]) : reading)
    // The read goes on; what it brings is the stream's next chunk.
    if (!read) return { chunks, reading, ended: false }
    if (read.done) return { chunks, ended: true }
    chunks.push(read.value)
    text += decoder.decode(read.value, { stream: true })
    if (text.length > MAX_HELD_CHARS || hasEvent(text)) return { chunks, ended: false }
  }
}

export type Held = { chunks: Chunk[]; ended: boolean; reading?: ReturnType<Reader['read']> }

/** Whether the text holds a whole event, not only comments and a `retry:`. */
function hasEvent(text: string): boolean {
  const blocks = text.replaceAll(/\r\n?/g, '\n').split('\n\n').slice(0, -1)
  return blocks.some((block) => /^(id|data)(:|$)/m.test(block))
}

/** The stream with what was read of it, as if nobody had looked. `onEnd` is called once, however it ends. */
export function putBack(reader: Reader, { chunks, ended, reading }: Held, onEnd: () => void) {
  let pending = reading
  return new ReadableStream<Chunk>({
    async pull(controller) {
      const held = chunks.shift()
      if (held) return controller.enqueue(held)
      try {
        const next = ended ? undefined : await (pending ?? reader.read())
        pending = undefined
        if (next && !next.done) return controller.enqueue(next.value)
        onEnd()
        controller.close()
      } catch (error) {
        onEnd()
        throw error
      }
    },
    async cancel(reason) {
      onEnd()
      await reader.cancel(reason)
    },
  })
}
