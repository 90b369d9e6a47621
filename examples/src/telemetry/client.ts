import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { runClient, type Stage } from '../examples/run-client.js'
import type { SentSpan } from './span-sender.js'

const patienceMs = 20_000

await runClient('telemetry', async (stage) => {
  await stage.scene('a call, in the trace of its client', async () => {
    const { spans, clientSpan } = await indexPage(stage, 'plain')
    const call = named(spans, 'tools/call index_page')
    assert.equal(call.parentSpanId, clientSpan)
    for (const name of ['step fetch', 'step store', 'count words']) {
      assert.equal(named(spans, name).parentSpanId, call.spanId)
    }
    return `below the client's span: ${spans.map(({ name }) => name).join(', ')}`
  })

  await stage.scene('a node dies in a step, and the trace goes on', async () => {
    await stage.trouble('store', 'kill-before')
    const { spans } = await indexPage(stage, 'dead')
    const [first, second] = [named(spans, 'step fetch').node, named(spans, 'takeover').node]
    assert.notEqual(first, second)
    assert.equal(named(spans, 'tools/call index_page').node, second)
    // Both runs count; only the second one stores.
    assert.deepEqual(nodesOf(spans, 'count words'), new Set([first, second]))
    assert.deepEqual(nodesOf(spans, 'step store'), new Set([second]))
    return `one trace: "step fetch" of process ${first}, "takeover" and "step store" of process ${second}`
  })

  await stage.scene('what Prometheus reads', async () => {
    const pages = await fromEachNode(stage, '/metrics')
    const lines = pages.flatMap((page) => page.split('\n'))
    const metrics = [
      'mcp_server_operation_duration_count',
      'mcp_durable_takeovers_total',
      'mcp_durable_servers',
    ]
    const shown = metrics.map((metric) =>
      lines.find((line) => new RegExp(`^${metric}[ {].* [1-9]`).test(line)),
    )
    for (const [index, line] of shown.entries()) assert.ok(line, `no ${metrics[index]} above 0`)
    return shown.map((line) => line?.replace(/{.*}/, '')).join(', ')
  })

  await stage.scene('health', async () => {
    for (const page of await fromEachNode(stage, '/healthz')) assert.equal(JSON.parse(page).ready, true)
    assert.equal((await stage.page('/livez')).status, 200)
    return 'both nodes are ready'
  })
})

/** Calls the tool in a trace of its own, and waits for the spans of it. */
async function indexPage(stage: Stage, page: string): Promise<{ spans: SentSpan[]; clientSpan: string }> {
  const [traceId, clientSpan] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
  const meta = { traceparent: `00-${traceId}-${clientSpan}-01` }
  const { words } = await stage.call<{ words: number }>('index_page', { page: stage.named(page) }, { meta })
  assert.equal(words, 6)
  const spans = await until(async () => {
    const all = await stage.outside<SentSpan[]>('/spans')
    const ours = all.filter((span) => span.traceId === traceId)
    return ours.some(({ name }) => name.startsWith('tools/call')) ? ours : undefined
  })
  return { spans, clientSpan }
}

function named(spans: readonly SentSpan[], name: string): SentSpan {
  const span = spans.find((candidate) => candidate.name === name)
  assert.ok(span, `no span "${name}" among ${spans.map((one) => one.name).join(', ')}`)
  return span
}

function nodesOf(spans: readonly SentSpan[], name: string): Set<number> {
  return new Set(spans.filter((span) => span.name === name).map(({ node }) => node))
}

/** The load balancer gives each request to the next node; one that was killed may not be back yet. */
async function fromEachNode(stage: Stage, path: string): Promise<string[]> {
  const pages = new Map<string, string>()
  await until(async () => {
    const response = await stage.page(path)
    const node = response.headers.get('x-served-by')
    const page = await response.text()
    if (response.ok && node !== null) pages.set(node, page)
    return pages.size >= 2 || undefined
  })
  return [...pages.values()]
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const began = Date.now(); ; await sleep(50)) {
    const found = await look()
    if (found !== undefined) return found
    assert.ok(Date.now() - began < patienceMs, 'it did not come in time')
  }
}
