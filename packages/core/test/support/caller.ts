import type { DurableContext } from '../../src/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { META } from '../../src/protocol.js'
import type { Alone, AloneWhere } from './alone.js'

export type InputRequired = {
  resultType: string
  inputRequests: Record<string, { method: string; params: { message: string } }>
  requestState: string
}

export const CAPABILITIES = { [META.clientCapabilities]: { elicitation: {}, sampling: {}, roots: {} } }

export const form = (message: string) => ({
  message,
  requestedSchema: { type: 'object' as const, properties: { value: { type: 'string' } } },
})

/** What a durable tool asks, and a `Caller` answers. */
export async function ask(ctx: DurableContext, name: string, options: { timeoutMs?: number } = {}) {
  const { content } = (await ctx.elicit(name, form(`${name}?`), options)) as { content?: { value?: string } }
  return String(content?.value)
}

export const resultOf = (message: JsonRpcMessage | undefined) =>
  (message as { result?: unknown } | undefined)?.result as InputRequired

/** To the first questions. */
export const answersTo = ({ inputRequests }: InputRequired, ...values: string[]) =>
  Object.fromEntries(
    Object.keys(inputRequests)
      .slice(0, values.length)
      .map((key, place) => [key, { action: 'accept', content: { value: values[place] } }]),
  )

/** A client without a session that calls the tool `work`, and answers what it is asked. */
export class Caller {
  readonly client: Alone
  readonly tool: string
  readonly args: Record<string, unknown>
  constructor(client: Alone, tool = 'work', args: Record<string, unknown> = { text: 'x' }) {
    this.args = args
    this.client = client
    this.tool = tool
  }

  request(more: Record<string, unknown> = {}, where: AloneWhere = {}) {
    const params = { name: this.tool, arguments: this.args, ...more }
    return this.client.request('tools/call', params, { meta: CAPABILITIES, ...where })
  }

  async last(more: Record<string, unknown> = {}, where: AloneWhere = {}) {
    await using stream = await this.client.call(this.tool, this.args, { meta: CAPABILITIES, ...where, more })
    return (await stream.messages()).at(-1)
  }

  retry(asked: InputRequired, values: readonly string[], where: AloneWhere = {}) {
    const { requestState } = asked
    return this.last({ inputResponses: answersTo(asked, ...values), requestState }, where)
  }
}
