/** One text of a compiled file of the package core, and what stands there instead. */
type Edit = readonly [file: string, from: string, to: string]

const GONE = JSON.stringify('The client has closed the stream.')

/** What the proof must notice when it is taken out of the code that serves the protocol without sessions. */
const edits = {
  /** Who asks for the rest of a call is not compared with whose it is, */
  'resumed-by-anybody': [['http/sessionless/get.js', 'session.principal !== exchange.principal', 'false']],
  /** nor who sends a request again, */
  'answered-by-anybody': [['http/sessionless/retry.js', 'session.principal !== principal', 'false']],
  /** nor who has the key. */
  'keys-of-anybody': [['http/sessionless/post.js', '[principal ?? null, key]', '[key]']],
  /** Whatever comes with a key joins the first call of it. */
  'any-body': [['http/sessionless/post.js', '!isSame(asked.first, request)', 'false']],
  /** A request that comes again with answers begins a call of its own. */
  'retry-begins': [['http/sessionless/post.js', 'isRetry(message)', 'false']],
  /** The last answer counts. */
  'last-answer': [
    ['http/sessionless/retry.js', '|| closed.has(String(id))', ''],
    ['session/client-messages.js', '{ answers: question, maxBytes }', '{ ifOpen: asker }'],
    ['call/questions.js', 'if (this.#answers.has(question))', 'if (false)'],
  ],
  /** Whoever takes a call over asks again. */
  'asked-again': [['call/questions.js', 'this.#of.sent().hasAsked(id)\n', 'false\n']],
  /** A client that has closed its stream is taken for one whose node has died. */
  'departure-is-death': [
    ['http/sessionless/departures.js', 'void this.#wait(presence, requestId)', 'this.#forget(presence)'],
  ],
  /** And the reverse. */
  'death-is-departure': [
    [
      'call/calls.js',
      'past: { runs, inbox }',
      `past: { runs, inbox: [...inbox, { id: '1-1', data: 'cancelled ' + JSON.stringify({ requestKey: keysOf(requests, {})[0].split(':')[0] + ':', reason: ${GONE} }) }] }`,
    ],
  ],
  /** A client that comes back is taken for one that is gone. */
  'return-is-unseen': [
    ['http/sessionless/departures.js', 'presence.departure === departure', 'true'],
    ['http/sessionless/departures.js', 'last.data !== this.#node', 'false'],
  ],
  /** Who asks for a task is not compared with whose it is. */
  'tasks-of-anybody': [['http/sessionless/find-task.js', 'session.principal !== principal', 'false']],
  /** A task is kept as any call that has ended. */
  'kept-as-any-call': [['call/call.js', 'keptMs > 0 ? keptMs + resumeWindowMs : 0', '0']],
  /** A task is cancelled as any call whose client has closed its stream. */
  'task-needs-its-client': [
    ['http/sessionless/asked.js', 'asked.task?.isTask !== true', 'true'],
    ['call/call.js', 'item.ofRequest && this.isTask', 'false'],
  ],
} as const satisfies Record<string, readonly Edit[]>

export type Mutant = keyof typeof edits
export const mutants = Object.keys(edits) as Mutant[]

/** The source of a file with these mutants; `undefined`: they are not there. */
export function mutated(url: string, source: string, names: readonly Mutant[]): string | undefined {
  const here = names
    .flatMap((name): readonly Edit[] => edits[name])
    .filter(([file]) => url.endsWith(`/core/dist/${file}`))
  if (here.length === 0) return undefined
  return here.reduce((text, [file, from, to]) => {
    if (!text.includes(from)) throw new Error(`the mutant has no place in ${file}: ${from}`)
    return text.replace(from, () => to)
  }, source)
}
