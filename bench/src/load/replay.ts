import { sessionIdOf } from '@mcp-durable/core'
import { Redis } from 'ioredis'
import { openDatabase } from '../sqlite.js'
import { Client } from './client.js'
import { textOf } from './connection.js'

/** `redis` or `file`: where the events are. */
export type ReplayJob = { url: string; redis?: string; file?: string; events: number; rounds: number }

/** The events of a call from its first one on, over HTTP, and the same entries by XRANGE or SELECT, in turns. In ms. */
export async function replay({ url, redis, file, events, rounds }: ReplayJob) {
  const client = await Client.connect(new URL(url))
  const call = { tool: 'progress', args: { steps: events }, meta: { progressToken: 1 } }
  const { body } = await client.call(call, `"text":"${events}"`)
  const [, first = '', callId] = /id: ((\S+?)\.\S+)/.exec(body) ?? []
  const session = sessionIdOf(client.sessionId)
  const reader = file === undefined ? rangeOf(redis!, session, callId!) : selectOf(file, session, callId!)
  const http: number[] = []
  const plain: number[] = []
  const warmUp = 2
  for (let round = -warmUp; round < rounds; round++) {
    const answer = await timed(() => client.resume(first))
    const shown = textOf(answer.value).split('"notifications/progress"').length - 1
    if (shown !== events) throw new Error(`${shown} events came, not ${events}`)
    const entries = await timed(reader.read)
    if (entries.value.length <= events) throw new Error(`only ${entries.value.length} entries were found`)
    if (round < 0) continue
    http.push(answer.ms)
    plain.push(entries.ms)
  }
  client.close()
  reader.close()
  return { http, plain }
}

type Reader = { read: () => Promise<unknown[]>; close: () => void }

function rangeOf(url: string, session: string, callId: string): Reader {
  const redis = new Redis(url)
  const key = `mcp:{${session}}:call:${callId}`
  return { read: () => redis.xrange(key, '-', '+'), close: () => redis.disconnect() }
}

function selectOf(path: string, session: string, callId: string): Reader {
  const database = openDatabase(path)
  const select = database.prepare(`SELECT e.time, e.seq, e.data FROM scopes s JOIN logs l ON l.scope = s.id
    JOIN entries e ON e.log = l.id WHERE s.scope = ? AND l.log = ? ORDER BY e.time, e.seq`)
  const read = async () => select.all(session, `call:${callId}`)
  return { read, close: () => void database.close() }
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const began = performance.now()
  const value = await work()
  return { value, ms: performance.now() - began }
}
