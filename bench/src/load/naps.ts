import { sessionlessHeaders, sessionlessMeta } from '../protocol-2026.js'
import { inParallel } from './client.js'

const LANES = 32
const _meta = sessionlessMeta({ tasks: true })
const headers = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  ...sessionlessHeaders('nap'),
}

/** Begins tasks that sleep, and are to be woken between two times (ms since 1970), as many in each second. */
export async function beginNaps({
  url,
  count,
  from,
  to,
}: {
  url: string
  count: number
  from: number
  to: number
}) {
  const lanes = Array.from({ length: LANES }, (_, lane) => lane)
  await inParallel(lanes, count, async (_, index) => {
    const args = { until: from + ((to - from) * index) / count }
    const params = { name: 'nap', arguments: args, _meta }
    const body = JSON.stringify({ jsonrpc: '2.0', id: index, method: 'tools/call', params })
    const response = await fetch(url, { method: 'POST', headers, body })
    const answer = await response.text()
    if (!answer.includes('"taskId"')) throw new Error(`no task was begun: ${answer}`)
  })
}
