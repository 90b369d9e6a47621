import { expect } from 'vitest'
import { TestClient, type Major } from './client.js'
import { Router } from './router.js'

/** A process of the server that orders tea, of the README or of docs/frameworks.md. */
type Started = { url: string; pid: number; kill(signal: 'SIGKILL'): Promise<unknown> }

/** The first process is killed in the middle of a call; the official client gets the result from the second one. */
export async function expectCallOutlives(major: Major, first: Started, second: Started) {
  await using router = await Router.start({ name: 'first', url: first.url })
  await using client = await TestClient.connect(major, router)
  let killed: Promise<unknown> | undefined
  const onprogress = () => {
    router.others({ name: 'second', url: second.url })
    killed = first.kill('SIGKILL')
  }
  const [content] = await client.api.callTool('order', { item: 'tea' }, { onprogress })
  await killed
  expect(content?.text).toBe(`tea, ordered by process ${first.pid}, charged by process ${second.pid}`)
  expect(await client.api.listTools()).toEqual(['order'])
}
