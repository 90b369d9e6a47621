import type { EventReader } from './event-reader.js'
import type { Nodes } from './nodes.js'
import { expectStream, Session } from './session.js'

/** A request that node 0 runs, in a session of its own, until that node leaves. */
export class RunningCall implements AsyncDisposable {
  readonly session: Session
  /** The stream of the request at node 0, behind its priming event. */
  readonly stream: EventReader
  readonly #nodes: Nodes
  readonly #lastEventId: string | undefined

  private constructor(nodes: Nodes, session: Session, stream: EventReader, lastEventId: string | undefined) {
    this.#nodes = nodes
    this.session = session
    this.stream = stream
    this.#lastEventId = lastEventId
  }

  static async begin(nodes: Nodes, method: string, params: object, id?: string): Promise<RunningCall> {
    const session = await Session.begin(nodes)
    const stream = await expectStream(await session.request(method, params, id === undefined ? {} : { id }))
    const priming = await stream.next()
    return new RunningCall(nodes, session, stream, priming?.id)
  }

  static ofTool(nodes: Nodes, name: string, args: object = {}, id?: string): Promise<RunningCall> {
    return RunningCall.begin(nodes, 'tools/call', { name, arguments: args }, id)
  }

  /** Node 0 leaves at once: the call is handed over. */
  leave(): Promise<void> {
    return this.#nodes.mcp(0).close({ graceMs: 0 })
  }

  /** What the client hears at another node, from the beginning of the stream to its end. */
  async resumed(node = 1) {
    await using stream = await this.session.stream(this.#lastEventId, { node })
    return await stream.messages()
  }

  [Symbol.asyncDispose]() {
    return this.stream[Symbol.asyncDispose]()
  }
}
