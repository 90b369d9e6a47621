import { z } from 'zod'
import type { Question, Speaker, World } from './world.js'

/** What a tool needs of the SDK, whichever major. */
export type ToolContext = {
  node: string
  world: World
  speaker: Speaker
  requestId: string | number
  signal: AbortSignal
  sessionId: string | undefined
  authInfo: unknown
  progressToken: string | number | undefined
  /** Sends a notification that belongs to the request. */
  notify(method: string, params: Record<string, unknown>): Promise<void>
  closeStream: (() => void) | undefined
  closeStandaloneStream: (() => void) | undefined
  subscribed: ReadonlySet<string>
}

export type Tool = {
  input: z.ZodObject
  annotations?: { readOnlyHint?: boolean; idempotentHint?: boolean }
  run: (args: Record<string, unknown>, context: ToolContext) => Promise<string>
}

function tool<Shape extends z.ZodRawShape>(
  shape: Shape,
  run: (args: z.infer<z.ZodObject<Shape>>, context: ToolContext) => Promise<string>,
): Tool {
  return { input: z.object(shape), run: run as Tool['run'] }
}

const QUESTIONS = ['elicitation', 'sampling', 'roots'] as const satisfies readonly Question[]

/** Waits at the gate, and tells the world of start, end and abort. */
export async function waitAt(gate: string, { world, signal }: Pick<ToolContext, 'world' | 'signal'>) {
  world.happened.add(`started ${gate}`)
  try {
    await world.gates.pass(gate, signal)
  } catch (error) {
    world.happened.add(`aborted ${gate}`)
    throw error
  }
  world.happened.add(`passed ${gate}`)
}

async function say(count: number, { notify }: ToolContext) {
  for (let n = 1; n <= count; n++) {
    await notify('notifications/message', { level: 'info', data: `say ${n}` })
  }
}

/** The same tools for servers of both majors. */
export const tools: Record<string, Tool> = {
  echo: tool({ text: z.string() }, async ({ text }) => text),
  who: tool({}, async (_args, { node, sessionId, authInfo }) =>
    JSON.stringify({ node, sessionId, authInfo }),
  ),
  fail: tool({ message: z.string() }, async ({ message }) => {
    throw new Error(message)
  }),
  /** Runs until its gate is open. */
  wait: tool({ gate: z.string() }, async ({ gate }, context) => {
    await waitAt(gate, context)
    return `${gate} on ${context.node}`
  }),
  /** The same, and may be run again. */
  look: {
    ...tool({ gate: z.string() }, async ({ gate }, context) => {
      await say(2, context)
      await waitAt(gate, context)
      return `${gate} on ${context.node}`
    }),
    annotations: { readOnlyHint: true },
  },
  /** Only reads: tells who it is, after what the gate and the messages take. */
  read: {
    ...tool(
      {
        text: z.string(),
        gate: z.string().optional(),
        says: z.number().optional(),
        tells: z.boolean().optional(),
      },
      async ({ text, gate, says = 0, tells }, context) => {
        context.world.happened.add(`read ${text}`)
        if (tells) await context.speaker.notify('notifications/message', { level: 'info', data: 'told' })
        await say(says, context)
        if (gate !== undefined) await waitAt(gate, context)
        return `${text}, subscribed: ${[...context.subscribed].join()}`
      },
    ),
    annotations: { readOnlyHint: true },
  },
  /** Says the same again and again, with a gate before each time. */
  chant: tool({ count: z.number() }, async ({ count }, context) => {
    for (let n = 1; n <= count; n++) {
      await waitAt(`verse ${n}`, context)
      await context.notify('notifications/message', { level: 'info', data: 'amen' })
    }
    return `chanted ${count}`
  }),
  /** Sends messages on its own stream, then runs until its gate is open. */
  say: tool({ count: z.number(), gate: z.string().optional() }, async ({ count, gate }, context) => {
    await say(count, context)
    if (gate !== undefined) await waitAt(gate, context)
    return `said ${count}`
  }),
  /** Sends messages on the standalone stream. */
  tell: tool({ count: z.number() }, async ({ count }, { speaker }) => {
    for (let n = 1; n <= count; n++) {
      await speaker.notify('notifications/message', { level: 'info', data: `tell ${n}` })
    }
    return `told ${count}`
  }),
  /** Logs as an application does, past the level that the client has set. */
  log: tool({ level: z.string() }, async ({ level }, { speaker, sessionId }) => {
    await speaker.log(level, `log ${level}`, sessionId)
    return `logged ${level}`
  }),
  ask: tool({ question: z.enum(QUESTIONS), related: z.boolean() }, async (args, { speaker, requestId }) =>
    JSON.stringify(await speaker.ask(args.question, args.related ? requestId : undefined)),
  ),
  /** Asks, and tells the world of the client's progress with the answer. */
  ask_slowly: tool({ related: z.boolean() }, async ({ related }, { speaker, requestId, world }) => {
    const onprogress = ({ progress }: { progress: number }) => world.happened.add(`client at ${progress}`)
    return JSON.stringify(await speaker.ask('sampling', related ? requestId : undefined, { onprogress }))
  }),
  /** Asks, and gives up after some milliseconds. */
  ask_briefly: tool({ related: z.boolean() }, async ({ related }, { speaker, requestId }) =>
    speaker.ask('roots', related ? requestId : undefined, { timeout: 50 }).then(
      () => 'answered',
      () => 'gave up',
    ),
  ),
  /** Does not listen when it is cancelled, and goes on to send messages. */
  deaf: tool({ gate: z.string() }, async ({ gate }, { notify, world, signal }) => {
    world.happened.add(`started ${gate}`)
    signal.addEventListener('abort', () => world.happened.add(`heard ${gate}`))
    await world.gates.pass(gate, new AbortController().signal)
    const sent = notify('notifications/message', { level: 'info', data: 'late' })
    await sent.then(
      () => world.happened.add(`sent, aborted: ${signal.aborted}`),
      () => world.happened.add(`not sent, aborted: ${signal.aborted}`),
    )
    return 'late'
  }),
  progress: tool({ steps: z.number() }, async ({ steps }, { notify, progressToken }) => {
    for (let progress = 1; progress <= steps; progress++) {
      await notify('notifications/progress', { progressToken, progress, total: steps })
    }
    return `done ${steps}`
  }),
  big: tool({ chars: z.number() }, async ({ chars }) => 'x'.repeat(chars)),
  /** Many messages of some size, then its result. */
  flood: tool({ count: z.number(), chars: z.number() }, async ({ count, chars }, { notify, world }) => {
    for (let n = 1; n <= count; n++) {
      await notify('notifications/message', { level: 'info', data: `${n} ${'x'.repeat(chars)}` })
    }
    world.happened.add('flooded')
    return `flooded ${count}`
  }),
  /** Ends its own stream, then runs until its gate is open. */
  hang_up: tool({ gate: z.string() }, async ({ gate }, context) => {
    context.closeStream?.()
    await waitAt(gate, context)
    return `${gate} on ${context.node}`
  }),
  hang_up_standalone: tool({}, async (_args, { closeStandaloneStream }) => {
    closeStandaloneStream?.()
    return String(closeStandaloneStream !== undefined)
  }),
  /** Tells of a new version of a resource, if the client has subscribed to it. */
  touch: tool({ uri: z.string() }, async ({ uri }, { subscribed, speaker }) => {
    if (!subscribed.has(uri)) return 'not subscribed'
    await speaker.updated(uri)
    return 'updated'
  }),
  change_tools: tool({}, async (_args, { speaker }) => {
    speaker.toolsChanged()
    return 'changed'
  }),
}

export const NAMES = ['ada', 'alan', 'grace']
export const startingWith = (text: string) => NAMES.filter((name) => name.startsWith(text))
export const greeting = (text: string) => ({
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text } }],
})

/** Prompts that take their time: requests that are journaled only when they have to be. */
export async function slowPrompt(kind: 'wait' | 'noisy', gate: string, context: ToolContext) {
  if (kind === 'noisy') await say(1, context)
  await waitAt(gate, context)
  return greeting(`${gate} on ${context.node}`)
}
