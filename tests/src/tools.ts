import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { SharedDir } from './shared-dir.js'

/** The same tools for the server objects of both majors of the SDK: what a tool needs of either. */
export interface ServerFacade {
  /** Sends a notification that belongs to no request. */
  readonly notify: Notify
  /** Sends a question to the client that the tool does not relate to its request. */
  readonly ask: Ask
  /** Respects the level that the client has set. */
  log(level: LogLevel, data: string): Promise<void>
  /** Registers one more tool, so that the list of tools changes. */
  addTool(name: string): void
  readonly seen: Seen
}

export interface CallFacade {
  readonly signal: AbortSignal
  readonly progressToken: string | number | undefined
  readonly server: ServerFacade
  readonly authInfo: unknown
  /** Sends a notification that belongs to the call. */
  readonly notify: Notify
  readonly ask: Ask
  /** An error that is not a tool result: the SDK answers it as a JSON-RPC error. */
  protocolError(): Error
}

type Notify = (method: string, params: Record<string, unknown>) => Promise<void>
type Ask = (method: Question, params: Record<string, unknown>, onprogress?: OnProgress) => Promise<unknown>
export type Question = 'elicitation/create' | 'sampling/createMessage' | 'roots/list'
export type OnProgress = (progress: number) => void
export const logLevels = ['debug', 'info', 'warning', 'error'] as const
export type LogLevel = (typeof logLevels)[number]
/** What this one server object was told by its client. */
export type Seen = { object: string; initialized: number; rootsChanged: number; subscriptions: Set<string> }
export const nothingSeen = (): Seen => ({
  object: randomUUID(),
  initialized: 0,
  rootsChanged: 0,
  subscriptions: new Set(),
})
export type Tool = {
  name: string
  input: z.ZodObject
  annotations: { readOnlyHint?: boolean }
  run: (args: Record<string, unknown>, call: CallFacade) => Promise<string>
}

const optionalGate = z.string().default('')
const question = z.object({
  kind: z.enum(['elicitation', 'sampling', 'roots']).default('elicitation'),
  /** What the client shall say; sampling only. */
  text: z.string().default('it'),
  gate: optionalGate,
})

export function tools(dir: SharedDir): Tool[] {
  return [
    tool('who', z.object({}), async () => ''),
    tool('add', z.object({ a: z.number(), b: z.number() }), async ({ a, b }) => String(a + b)),
    tool('big', z.object({ bytes: z.number(), gate: optionalGate }), async ({ bytes, gate }, { signal }) => {
      await dir.passGate(gate, signal)
      return 'x'.repeat(bytes)
    }),
    tool('progress', z.object({ count: z.number(), gate: optionalGate }), async ({ count, gate }, call) => {
      const { progressToken, signal } = call
      for (let progress = 1; progress <= count; progress++) {
        await call.notify('notifications/progress', { progressToken, progress, total: count })
      }
      await dir.passGate(gate, signal)
      return String(count)
    }),
    tool(
      'say',
      z.object({ texts: z.array(z.string()), gate: optionalGate }),
      async ({ texts, gate }, call) => {
        if (gate !== '') dir.record('at the gate', gate)
        await dir.passGate(gate, call.signal)
        for (const data of texts) await call.notify('notifications/message', { level: 'info', data })
        return texts.join(' ')
      },
    ),
    tool(
      'say-first',
      z.object({ texts: z.array(z.string()), gate: optionalGate }),
      async ({ texts, gate }, call) => {
        for (const data of texts) await call.notify('notifications/message', { level: 'info', data })
        await dir.passGate(gate, call.signal)
        return texts.join(' ')
      },
    ),
    tool('announce', z.object({ text: z.string() }), async ({ text }, { server }) => {
      await server.notify('notifications/message', { level: 'info', data: text })
      return text
    }),
    tool(
      'log',
      z.object({ level: z.enum(logLevels), data: z.string() }),
      async ({ level, data }, { server }) => {
        await server.log(level, data)
        return data
      },
    ),
    tool('ask', question, async ({ kind, text, gate }, call) => {
      const answer = await ask(kind, call.ask, text)
      await dir.passGate(gate, call.signal)
      return answer
    }),
    tool('ask-unrelated', question, async ({ kind }, { server }) => ask(kind, server.ask)),
    tool('ask-later', question, async ({ kind, gate }, { server, signal }) => {
      // The tool has answered by then, so the question belongs to no call.
      void dir
        .passGate(gate, signal)
        .then(() => ask(kind, server.ask))
        .then((answer) => dir.record(`answered ${gate}`, answer))
        .catch((error: unknown) => dir.record(`answered ${gate}`, String(error)))
      return 'will ask'
    }),
    tool('slow', z.object({ gate: optionalGate }), async ({ gate }, { signal }) => {
      dir.record('slow', gate)
      await dir.passGate(gate, signal)
      return gate
    }),
    // May be run again when its node is gone.
    tool(
      'look',
      z.object({ gate: optionalGate }),
      async ({ gate }, { signal }) => {
        dir.record('look', gate)
        await dir.passGate(gate, signal)
        return gate
      },
      { readOnlyHint: true },
    ),
    tool('release', z.object({ gate: z.string() }), async ({ gate }) => {
      dir.openGate(gate)
      return gate
    }),
    tool('hang', z.object({ name: z.string() }), async ({ name }, { signal }) => {
      dir.record('hanging', name)
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      dir.record('aborted', name)
      return 'aborted'
    }),
    tool('effect', z.object({ name: z.string(), gate: optionalGate }), async ({ name, gate }, { signal }) => {
      dir.record('effect', name)
      await dir.passGate(gate, signal)
      return name
    }),
    tool('update-resource', z.object({ uri: z.string() }), async ({ uri }, { server }) => {
      if (!server.seen.subscriptions.has(uri)) return 'not subscribed'
      await server.notify('notifications/resources/updated', { uri })
      return 'updated'
    }),
    tool('add-tool', z.object({ name: z.string() }), async ({ name }, { server }) => {
      server.addTool(name)
      return name
    }),
    tool('seen', z.object({}), async (_, { server }) => {
      return JSON.stringify({ ...server.seen, subscriptions: [...server.seen.subscriptions] })
    }),
    tool('auth', z.object({}), async (_, { authInfo }) => JSON.stringify(authInfo ?? null)),
    tool('protocol-error', z.object({}), async (_, call) => {
      throw call.protocolError()
    }),
  ]
}

const asked: Record<'elicitation' | 'sampling' | 'roots', [Question, Record<string, unknown>]> = {
  elicitation: [
    'elicitation/create',
    { message: 'sure?', requestedSchema: { type: 'object', properties: { ok: { type: 'boolean' } } } },
  ],
  sampling: ['sampling/createMessage', { maxTokens: 10 }],
  roots: ['roots/list', {}],
}

/** The answer, and the progress that the client has told of before it. */
async function ask(kind: keyof typeof asked, send: Ask, text = 'it') {
  const progress: number[] = []
  const [method, params] = asked[kind]
  const messages = [{ role: 'user', content: { type: 'text', text } }]
  const full = kind === 'sampling' ? { ...params, messages } : params
  const answer = await send(method, full, (step) => progress.push(step))
  return JSON.stringify({ answer, progress })
}

function tool<T extends z.ZodObject>(
  name: string,
  input: T,
  run: (args: z.infer<T>, call: CallFacade) => Promise<string>,
  annotations: Tool['annotations'] = {},
): Tool {
  return { name, input, annotations, run: (args, call) => run(args as z.infer<T>, call) }
}
