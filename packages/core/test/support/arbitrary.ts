import fc from 'fast-check'

/** Mostly what is right, sometimes anything. */
export const usually = <T>(good: fc.Arbitrary<T>, bad: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 5, arbitrary: good }, { weight: 1, arbitrary: bad })
const optional = <T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(members, { requiredKeys: [] })

export const anything = fc.jsonValue()
const anId = usually(fc.oneof(fc.integer(), fc.string(), fc.constantFrom(0, '', '__proto__')), anything)
const method = usually(
  fc.oneof(
    fc.constantFrom(
      'ping',
      'tools/list',
      'tools/call',
      'prompts/get',
      'resources/read',
      'resources/subscribe',
    ),
    fc.constantFrom('logging/setLevel', 'completion/complete', 'notifications/initialized', 'initialize'),
    fc.constantFrom('notifications/progress', 'notifications/roots/list_changed', 'resources/unsubscribe'),
    fc.constantFrom('notifications/cancelled', 'resources/templates/list', 'prompts/list', 'tasks/list'),
  ),
  fc.string(),
)
const meta = usually(
  optional({ progressToken: usually(anId, anything), 'io.modelcontextprotocol/related-task': anything }),
  anything,
)
const params = usually(
  optional({
    name: usually(fc.constantFrom('echo', 'who', 'progress', 'tell', 'say', 'log'), anything),
    arguments: usually(
      optional({ text: fc.string(), steps: fc.nat(3), count: fc.nat(3), level: fc.string() }),
      anything,
    ),
    uri: usually(
      fc.constantFrom('test://static', 'test://people/ada'),
      fc.oneof(anything, fc.constant({ toString: 1 })),
    ),
    level: usually(fc.constantFrom('error', 'debug'), anything),
    requestId: anId,
    progressToken: anId,
    cursor: anything,
    _meta: meta,
  }),
  anything,
)
const jsonrpc = usually(fc.constant('2.0'), anything)
/** A message, or nearly one. */
export const message = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record(
      { jsonrpc, id: anId, method, params, extra: anything },
      { requiredKeys: ['jsonrpc', 'method', 'id'] },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      { jsonrpc, method, params, extra: anything },
      { requiredKeys: ['jsonrpc', 'method'] },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record(
      { jsonrpc, id: anId, result: anything, error: anything },
      { requiredKeys: ['jsonrpc'] },
    ),
  },
)

/** What can be sent in a header at all. */
export function isHeader(text: string) {
  try {
    return new Headers({ x: text }).get('x') === text
  } catch {
    return false
  }
}
