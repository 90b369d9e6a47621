import { setTimeout as sleep } from 'node:timers/promises'
import type { Mounted } from './mounts.js'

export type NotifyJob = { sessionId: string; channel?: string; count: number; everyMs: number }

const message = () => ({
  method: 'notifications/message',
  params: { level: 'info', data: `sent at ${process.hrtime.bigint()}` },
})

/**
 * Sends notifications to a session and publishes the same on a channel, if there is one, in turns, with the time in them: what disturbs
 * the machine for a moment disturbs both.
 */
export async function notify({ mcp, redis }: Mounted, { sessionId, channel, count, everyMs }: NotifyJob) {
  for (let sent = 0; sent < count; sent++) {
    if (!(await mcp?.notify(sessionId, message()))) throw new Error('the session is unknown')
    await sleep(everyMs)
    if (channel === undefined) continue
    await redis!.publish(channel, JSON.stringify(message()))
    await sleep(everyMs)
  }
}
