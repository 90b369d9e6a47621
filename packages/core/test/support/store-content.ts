import { OLDEST } from '../../src/store/index.js'
import type { Entry, StoredSession } from '../../src/store/index.js'
import type { Store } from '../../src/index.js'

const PAGE = 500

export type SessionContent = {
  id: string
  session: Omit<StoredSession, 'values'> | undefined
  out: Entry[] | undefined
  calls: Record<string, Entry[] | undefined>
}

/** Everything that the interface of a store lets one see: of the sessions named, or of all it lists. */
export async function contentOf(store: Store, sessionIds?: readonly string[]): Promise<SessionContent[]> {
  const ids = sessionIds ?? (await allSessions(store))
  return Promise.all(
    ids.map(async (id) => {
      const calls = (await store.findCalls(id, '')).toSorted()
      const journals = calls.map(
        async (call) => [call, await store.read(id, `call:${call}`, OLDEST, PAGE)] as const,
      )
      return {
        id,
        session: await sessionOf(store, id),
        out: await store.read(id, 'out', OLDEST, PAGE),
        calls: Object.fromEntries(await Promise.all(journals)),
      }
    }),
  )
}

/** Its values are not listed, and how often they have changed says nothing without them: what belongs to an upstream does. */
async function sessionOf(store: Store, id: string) {
  const { values: _, ...session } = (await store.readSession(id)) ?? {}
  return 'state' in session ? session : undefined
}

async function allSessions(store: Store): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await store.listSessions(cursor, PAGE)
    ids.push(...page.ids)
    cursor = page.cursor
  } while (cursor !== undefined)
  return ids.toSorted()
}
