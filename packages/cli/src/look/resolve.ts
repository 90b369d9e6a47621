import { sessionIdOf } from '@mcp-durable/core/inspect'
import type { CallPlace, Inspection } from '@mcp-durable/core/inspect'
import { CliError } from '../errors.js'
import type { Privacy } from '../show/privacy.js'

const LISTED = 5

/** The session that an id, the beginning of one, or the `Mcp-Session-Id` of its client names. */
export async function resolveSession(inspect: Inspection, given: string, privacy: Privacy): Promise<string> {
  const text = beginning(given)
  // A scope of a call that belongs to no session is none.
  const isLive = async (id: string) => (await inspect.sessions.read(id))?.isSession === true
  for (const id of sessionIdsOf(text)) if (await isLive(id)) return id
  const found = await inspect.sessions.find(text)
  const live = await Promise.all(found.map(async (id) => ((await isLive(id)) ? [id] : [])))
  return onlyOne(live.flat(), {
    what: 'session',
    given,
    show: (id) => longer(id, text, privacy),
    next: [
      'mcp-durable sessions lists those there are. A session ends when it is deleted or has not been used for long.',
    ],
  })
}

/** The call that an id, or the beginning of one, names. */
export async function resolveCall(inspect: Inspection, given: string, privacy: Privacy): Promise<CallPlace> {
  return onlyOne(await inspect.calls.find(beginning(given)), {
    what: 'call',
    given,
    show: ({ callId }) => longer(callId, beginning(given), privacy),
    next: [
      'mcp-durable calls --ended lists them. A journal is kept for a while after the response (resumeWindowMs).',
    ],
  })
}

/** What a whole id may name: a session as it is listed, or as its client calls it. */
export const sessionIdsOf = (text: string) => [text, sessionIdOf(text)]

/** Shortened ids are printed with an ellipsis, and may be copied with it. */
const beginning = (given: string) => given.replace(/(…|\.\.\.)$/, '')

/** Enough of an id to tell it from others that begin alike. */
const longer = (id: string, given: string, privacy: Privacy) =>
  privacy.id(id) === id ? id : `${id.slice(0, Math.max(6, given.length) + 4)}…`

/** That there is none. */
export class NoneError extends CliError {}

type Wanted<T> = { what: string; given: string; show: (found: T) => string; next: string[] }

function onlyOne<T>(found: readonly T[], { what, given, show, next }: Wanted<T>): T {
  const [first] = found
  if (first === undefined) throw new NoneError(`there is no ${what} '${given}' here.`, next)
  if (found.length === 1) return first
  const listed = found.slice(0, LISTED).map((one) => show(one))
  const more = found.length > LISTED ? ', …' : ''
  throw new CliError(`'${given}' may be any of ${found.length} ${what}s: ${listed.join(', ')}${more}`, [
    'Give more of the id.',
  ])
}
