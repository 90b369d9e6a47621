import { setTimeout as sleep } from 'node:timers/promises'
import type { Mounted } from './mounts.js'

export type NotifyJob = { target: string; count: number; everyMs: number }

const message = () => ({
  method: 'notifications/message',
  params: { level: 'info', data: `sent at ${process.hrtime.bigint()}` },
})

/** Sends notifications to a session, with the time in them. */
export async function notify({ mcp }: Mounted, { target, count, everyMs }: NotifyJob) {
  await pacedly(count, everyMs, async () => {
    if (!(await mcp?.notify(target, message()))) throw new Error('the session is unknown')
  })
}

/** Publishes the same on a channel. */
export async function publish({ redis }: Mounted, { target, count, everyMs }: NotifyJob) {
  await pacedly(count, everyMs, () => redis!.publish(target, JSON.stringify(message())))
}

async function pacedly(count: number, everyMs: number, work: () => Promise<unknown>) {
  for (let sent = 0; sent < count; sent++) {
    await work()
    await sleep(everyMs)
  }
}
