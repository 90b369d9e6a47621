import { Client, inParallel } from './client.js'

/** Begins sessions; with `use`, each calls a tool once. Resolves to their ids. */
export async function createSessions({ url, count, use }: { url: string; count: number; use: boolean }) {
  const connections = Math.min(count, 32)
  const clients = await Promise.all(Array.from({ length: connections }, () => Client.connect(new URL(url))))
  const ids = clients.map(({ sessionId }) => sessionId)
  await inParallel(clients, count - connections, async (client) => {
    if (use) await client.add()
    await client.initialize()
    ids.push(client.sessionId)
  })
  for (const client of clients) {
    if (use) await client.add()
    client.close()
  }
  return ids
}

const held: Client[] = []

/** Opens a stream for each session, and does nothing with it. An id of '' is for a server that knows no sessions. */
export async function holdStreams({ url, sessionIds }: { url: string; sessionIds: string[] }) {
  const lanes = Array.from({ length: 32 }, (_, lane) => lane)
  await inParallel(lanes, sessionIds.length, async (_, index) => {
    const client = await Client.join(new URL(url), sessionIds[index] ?? '')
    await client.listen(() => undefined)
    held.push(client)
  })
}

export async function dropStreams() {
  for (const client of held.splice(0)) client.close()
}
