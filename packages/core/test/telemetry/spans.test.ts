import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { describe, expect, test } from 'vitest'
import { BEGINNING } from '../../src/store/index.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import { OpenTelemetry } from '../support/open-telemetry.js'
import { Session } from '../support/session.js'
import { STORES } from '../support/stores.js'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const spanId = '00f067aa0ba902b7'
const traceparent = `00-${traceId}-${spanId}-01`
const headers = { traceparent }
const _meta = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=x' }

const idOf = (span: ReadableSpan) => span.spanContext().spanId
const traceIdOf = (span: ReadableSpan) => span.spanContext().traceId

describe.each(STORES)('spans, %s', (store) => {
  test('of a request, its call, its steps, and the application’s own, one below the other', async () => {
    await using otel = new OpenTelemetry()
    const server = () =>
      durableServer((ctx, { text }) =>
        otel.tracer.startActiveSpan('handler', async (span) => {
          const body = () =>
            otel.tracer.startActiveSpan('body', (own) => {
              own.end()
              return text
            })
          const value = await ctx.atLeastOnce('fetch', body, { key: 'secret' })
          span.end()
          return value
        }),
      )
    const settings = { server, telemetry: otel.telemetry }
    await using nodes = await startNodes({ store, count: 1, settings })
    const session = await Session.begin(nodes)
    await session.result('work', { text: 'payload' }, { headers, id: 7 })
    const call = await otel.span('tools/call work')
    const chain = [await otel.span('POST', { 'http.response.status_code': 200 }), call]
    for (const name of ['handler', 'step fetch', 'body']) chain.push(await otel.span(name))
    const [request] = otel.spans.filter((span) => span.parentSpanContext?.spanId === spanId)
    expect(request).toMatchObject({ name: 'POST', kind: SpanKind.SERVER })
    chain[0] = request!
    expect(chain.map(traceIdOf)).toEqual(chain.map(() => traceId))
    expect(chain.slice(1).map((span) => span.parentSpanContext?.spanId)).toEqual(chain.slice(0, -1).map(idOf))
    expect(request!.attributes).toEqual({
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'url.path': '/mcp',
    })
    expect(call.kind).toBe(SpanKind.SERVER)
    expect(call.attributes).toMatchObject({
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'work',
      'jsonrpc.request.id': '7',
      'network.transport': 'tcp',
      'mcp_durable.attempt': 1,
      'mcp_durable.outcome': 'ok',
    })
    // When it has ended, the handler is run once more for comparison; that leaves no span.
    expect(otel.spans.filter(({ name }) => name === 'handler')).toHaveLength(1)
    const told = JSON.stringify(
      otel.spans.map(({ name, attributes, events }) => ({ name, attributes, events })),
    )
    for (const secret of [session.mcpSessionId, session.id, 'payload', 'secret'])
      expect(told).not.toContain(secret)
  })

  test('a call that fails has an error, by the conventions', async () => {
    await using otel = new OpenTelemetry()
    await using nodes = await startNodes({ store, count: 1, settings: { telemetry: otel.telemetry } })
    const session = await Session.begin(nodes)
    await session.result('fail', { message: 'no' })
    const failed = await otel.span('tools/call fail')
    expect(failed).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'tool_error' },
    })
    await (await session.request('no/such')).json()
    const { attributes, status } = await otel.span('_OTHER')
    expect(status.code).toBe(SpanStatusCode.ERROR)
    expect(attributes).toMatchObject({ 'error.type': '-32601', 'rpc.response.status_code': '-32601' })
  })

  test('a trace in the message goes before the one of HTTP, which is linked', async () => {
    await using otel = new OpenTelemetry()
    await using nodes = await startNodes({ store, count: 1, settings: { telemetry: otel.telemetry } })
    const session = await Session.begin(nodes)
    const params = { name: 'echo', arguments: { text: '' }, _meta }
    await (await session.request('tools/call', params, { headers })).text()
    const call = await otel.span('tools/call echo')
    expect(traceIdOf(call)).toBe('a'.repeat(32))
    expect(call.parentSpanContext).toMatchObject({ spanId: 'b'.repeat(16), isRemote: true })
    expect(call.spanContext().traceState?.serialize()).toBe('vendor=x')
    expect(call.links).toMatchObject([{ context: { traceId } }])
  })

  test.each(['headers', '_meta'] as const)('a takeover goes on with the trace, from %s', async (from) => {
    await using otel = new OpenTelemetry()
    const settings = { telemetry: otel.telemetry, recover: () => true }
    await using nodes = await startNodes({ store, settings })
    const session = await Session.begin(nodes)
    const params = { name: 'wait', arguments: { gate: 'g' }, ...(from === '_meta' && { _meta }) }
    const answer = await session.request('tools/call', params, { headers })
    await nodes.world.happened.until('started g')
    const [callId = ''] = await nodes.stores[0]!.findCalls(session.id, '')
    const [opened] = (await nodes.stores[0]!.read(session.id, `call:${callId}`, BEGINNING, 1)) ?? []
    expect(opened?.data).toContain(`"trace":{"traceparent":"00-${traceId}-`)
    await nodes.mcp(0).close({ graceMs: 0 })
    await answer.text()
    nodes.world.gates.open('g')
    const takeover = await otel.span('takeover')
    const first = await otel.span('tools/call wait', { 'mcp_durable.attempt': 1 })
    const second = await otel.span('tools/call wait', { 'mcp_durable.attempt': 2 })
    const rebuild = await otel.span('rebuild')
    expect(first.attributes['mcp_durable.outcome']).toBe('moved')
    expect(second.attributes['mcp_durable.outcome']).toBe('ok')
    expect(traceIdOf(first)).toBe(from === '_meta' ? 'a'.repeat(32) : traceId)
    for (const span of [takeover, second, rebuild]) expect(traceIdOf(span)).toBe(traceIdOf(first))
    expect(takeover.parentSpanContext?.spanId).toBe(first.parentSpanContext?.spanId)
    expect(rebuild.parentSpanContext?.spanId).toBe(idOf(takeover))
    expect(takeover.attributes).toMatchObject({ 'mcp_durable.attempt': 2, 'mcp_durable.outcome': 'run' })
  })
})

test('an upstream is told of the call’s span', async () => {
  await using otel = new OpenTelemetry()
  const settings = { telemetry: otel.telemetry, recover: () => true }
  await using nodes = await startNodes({ host: 'upstream', settings })
  const session = await Session.begin(nodes)
  expect(await session.result('echo', { text: 'hi' }, { headers })).toBe('hi')
  const call = await otel.span('tools/call echo')
  const told = nodes.upstream?.requests.find(({ body }) => body.includes('"echo"'))
  expect(told?.headers.get('traceparent')).toBe(`00-${traceId}-${idOf(call)}-01`)
})

test('below the span of an instrumentation of HTTP, the request is internal', async () => {
  await using otel = new OpenTelemetry()
  await using nodes = await startNodes({ count: 1, settings: { telemetry: otel.telemetry } })
  const session = await Session.begin(nodes)
  await otel.tracer.startActiveSpan('http', async (span) => {
    await session.result('echo', { text: '' }, { headers })
    span.end()
  })
  const http = await otel.span('http')
  const request = otel.spans.find((span) => span.parentSpanContext?.spanId === idOf(http))
  expect(request).toMatchObject({ name: 'POST', kind: SpanKind.INTERNAL })
  expect(traceIdOf(await otel.span('tools/call echo'))).toBe(traceIdOf(http))
})

test.each([
  ['none', undefined],
  ['no trace', `00-${'0'.repeat(32)}-${spanId}-01`],
  ['no span', `00-${traceId}-${'0'.repeat(16)}-01`],
  ['version ff', `ff-${traceId}-${spanId}-01`],
  ['more in version 00', `${traceparent}-more`],
  ['upper case', traceparent.toUpperCase()],
  ['something else', 'x'.repeat(10_000)],
])('a traceparent that is not valid begins a new trace: %s', async (_what, invalid) => {
  await using otel = new OpenTelemetry()
  await using nodes = await startNodes({ count: 1, settings: { telemetry: otel.telemetry } })
  const session = await Session.begin(nodes)
  const params = { name: 'echo', arguments: { text: '' }, _meta: { traceparent: invalid, tracestate: 1 } }
  await (await session.request('tools/call', params, { headers: { traceparent: invalid } })).text()
  const call = await otel.span('tools/call echo')
  const request = otel.spans.find((span) => idOf(span) === call.parentSpanContext?.spanId)
  expect(request).toMatchObject({ name: 'POST', parentSpanContext: undefined })
  expect(call.links).toEqual([])
})

test('without telemetry a journal holds no trace', async () => {
  await using nodes = await startNodes({ count: 1 })
  const session = await Session.begin(nodes)
  await using _ = await session.call('wait', { gate: 'g' }, { headers })
  await nodes.world.happened.until('started g')
  const [callId = ''] = await nodes.stores[0]!.findCalls(session.id, '')
  const [opened] = (await nodes.stores[0]!.read(session.id, `call:${callId}`, BEGINNING, 1)) ?? []
  expect(opened?.data).not.toContain('trace')
})
