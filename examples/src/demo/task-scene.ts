import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { DemoNode } from './demo-node.js'
import type { Cluster } from './nodes.js'
import { SESSIONLESS } from './sessionless-client.js'

const TASKS = 'io.modelcontextprotocol/tasks'
const META = {
  'io.modelcontextprotocol/protocolVersion': SESSIONLESS,
  'io.modelcontextprotocol/clientCapabilities': { extensions: { [TASKS]: {} } },
  'io.modelcontextprotocol/clientInfo': { name: 'demo', version: '1.0.0' },
}
const POLL_MS = 250

type Told = { taskId: string; status: string; result?: { content: { text: string }[] } }

/** A client starts a long job and goes away, its node dies, and another client asks for the result. */
export async function playTaskScene(cluster: Cluster, nodeAt: (url: string) => DemoNode): Promise<string> {
  const job = { name: 'slow_compute', arguments: { seconds: 4, label: 'the job' } }
  const created = await post(cluster.endpoint, 'tools/call', job.name, job)
  const victim = nodeAt(created.servedBy)
  await victim.kill()
  const { taskId } = created.told
  assert.equal(created.told.status, 'working')
  for (;;) {
    const { told, servedBy } = await post(cluster.endpoint, 'tasks/get', taskId, { taskId })
    if (told.status === 'working') {
      await delay(POLL_MS)
      continue
    }
    assert.equal(told.status, 'completed')
    assert.equal(told.result?.content[0]?.text, 'the job took 4 s')
    const other = nodeAt(servedBy)
    assert.notEqual(other, victim)
    return `begun on ${victim.name}, then killed with SIGKILL; its result asked of ${other.name}`
  }
}

/** One request without a session. Its connection is closed with the answer. */
async function post(endpoint: URL, method: string, name: string, params: object) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': SESSIONLESS,
      'mcp-method': method,
      'mcp-name': name,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: META } }),
  })
  const text = await response.text()
  const json = text.startsWith('{')
    ? text
    : (text
        .match(/^data: \{.*$/gm)
        ?.at(-1)
        ?.slice('data: '.length) ?? '')
  const { result } = JSON.parse(json) as { result: Told }
  return { told: result, servedBy: response.headers.get('x-served-by') ?? '' }
}
