import { sessionIdOf } from '@mcp-durable/core'
import { Redis } from 'ioredis'
import { Client } from './client.js'

export type ReplayJob = { url: string; redis: string; events: number; rounds: number }

/** The events of a call from its first one on, over HTTP, and the same entries by XRANGE, in turns. In ms. */
export async function replay({ url, redis: redisUrl, events, rounds }: ReplayJob) {
  const redis = new Redis(redisUrl)
  const client = await Client.connect(new URL(url))
  const call = { tool: 'progress', args: { steps: events }, meta: { progressToken: 1 } }
  const { body } = await client.call(call, `"text":"${events}"`)
  const [, first = '', callId] = /id: ((\S+?)\.\S+)/.exec(body) ?? []
  const key = `mcp:{${sessionIdOf(client.sessionId)}}:call:${callId}`
  const http: number[] = []
  const xrange: number[] = []
  const warmUp = 2
  for (let round = -warmUp; round < rounds; round++) {
    const answer = await timed(() => client.resume(first))
    const shown = answer.value.body.split('"notifications/progress"').length - 1
    if (shown !== events) throw new Error(`${shown} events came, not ${events}`)
    const entries = await timed(() => redis.xrange(key, '-', '+'))
    if (entries.value.length <= events) throw new Error(`XRANGE found ${entries.value.length} entries`)
    if (round < 0) continue
    http.push(answer.ms)
    xrange.push(entries.ms)
  }
  client.close()
  redis.disconnect()
  return { http, xrange }
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const began = performance.now()
  const value = await work()
  return { value, ms: performance.now() - began }
}
