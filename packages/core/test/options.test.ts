import { Redis } from 'ioredis'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { durable, durablePrompt, durableResource, durableTool, memoryStore } from '../src/index.js'
import { eventStore } from '../src/sdk.js'
import type { DurableOptions, Logger } from '../src/index.js'
import { telemetry } from '../src/telemetry/index.js'
import { capture } from './support/nodes.js'
import type { LogLine } from './support/nodes.js'
import { serverV1 } from './support/server-v1.js'
import { World } from './support/world.js'

const server = () => serverV1('node', new World())
const REDIS = "redisStore(new Redis('redis://HOST:PORT'))"
const made = (options: unknown) => () => durable(options as DurableOptions)

const WRONG: [name: string, options: object, says?: string][] = [
  ['no server', {}],
  ['a server and a handler', { server, handler: () => new Response() }],
  ['a server and an upstream', { server, upstream: 'http://localhost/mcp' }],
  ['a handler that is no function', { handler: {} }, '`handler` must be a function'],
  ['an application as handler', { handler: new Hono() }, '`fetch` of an application'],
  ['an upstream that is no URL', { upstream: 'localhost:4000' }, '`upstream` must be an http: or https: URL'],
  ['an upstream of another protocol', { upstream: 'ws://localhost' }, '`upstream` must be'],
  ['a server that is no factory', { server: {} }, '`server` must be a function'],
  [
    'a server object',
    { server: new McpServer({ name: 's', version: '1' }) },
    'server: () => createMyServer()',
  ],
  ['a time of zero', { server, sessionTtlMs: 0 }, 'sessionTtlMs'],
  ['a negative time', { server, serverIdleMs: -1 }, 'serverIdleMs'],
  ['a fraction', { server, maxBodyBytes: 1.5 }, 'maxBodyBytes'],
  ['a text', { server, keepAliveMs: '15s' }, 'keepAliveMs'],
  ['infinity', { server, maxServers: Infinity }, 'maxServers'],
  ['null for a number', { server, maxServers: null }, 'maxServers'],
  ['a host that is no list', { server, allowedHosts: 'localhost' }, 'allowedHosts'],
  ['no host at all', { server, allowedHosts: [] }, 'allowedHosts'],
  ['an address as store', { server, store: 'redis://:secret@localhost' }, REDIS],
  ['a URL as store', { server, store: new URL('redis://localhost') }, REDIS],
  ['a client as store', { server, store: new Redis({ lazyConnect: true }) }, REDIS],
  ['null as store', { server, store: null }, 'It is null'],
  ['a name as principal', { server, principal: 'ann' }, '`principal` must be a function'],
  [
    'a text for a boolean',
    { server, keepToken: 'yes' },
    '`keepToken` must be true or false. It is a string.',
  ],
  ['a boolean as recover', { server, recover: true }, '`recover` must be a function'],
  ['one header', { server, passHeaders: 'authorization' }, "['authorization']"],
  ['headers that are no names', { server, passHeaders: [1] }, '`passHeaders` must be'],
  ['a time as history', { server, history: '30d' }, "{ keep: '30d' }"],
  ['a function as logger', { server, logger: () => undefined }, 'the methods error, warn, info and debug'],
  [
    'half a logger',
    { server, logger: { error: () => undefined } },
    'the methods error, warn, info and debug',
  ],
  ['a function as hooks', { server, on: () => undefined }, '{ call: (event) => … }'],
  ['telemetry that was not called', { server, telemetry }, 'telemetry: telemetry()'],
  ['true for telemetry', { server, telemetry: true }, 'telemetry: telemetry()'],
  ['a misspelt setting', { server, sesionTtl: 1 }, 'no option `sesionTtl`. Did you mean `sessionTtlMs`?'],
  ['another case', { server, sessionTTL: 1 }, 'Did you mean `sessionTtlMs`?'],
  ['a letter too many', { server, principals: () => 'a' }, 'Did you mean `principal`?'],
  [
    'a name that is like none',
    { server, redisUrl: 'redis://x' },
    'no option `redisUrl`. There are: server, ',
  ],
  ['a name of every object', { server, constructor: 1 }, 'no option `constructor`'],
  [
    'a misspelt part of a history',
    { server, history: { keep: '1d', maxEntrys: 1 } },
    'Did you mean `maxEntries`?',
  ],
  [
    'one method of a history',
    { server, history: { keep: '1d', methods: 'resources/read' } },
    "`history.methods` must be a list: ['resources/read']. It is a string.",
  ],
  [
    'a pin without a time',
    { server, version: 'v2', whenVersionsDiffer: { pin: 1 } },
    '{ pinForMs: 600_000 }',
  ],
  [
    'a policy without a version',
    { server, whenVersionsDiffer: 'refuse' },
    'needs the `version` of your code',
  ],
  ['a quota that is no list', { server, quotas: { maxOpen: 1 } }, "[{ tool: 'render', runsAtOnce: 3 }]"],
  ['a misspelt quota', { server, quotas: [{ maxOpn: 1 }] }, 'Did you mean `maxOpen`?'],
  [
    'a quota without a limit',
    { server, quotas: [{ tool: 'x' }] },
    'one of maxOpen, startsPerMinute, runsAtOnce',
  ],
  ['a quota of nothing', { server, quotas: [null] }, 'options are an object'],
  [
    'a limit of none',
    { server, quotas: [{ runsAtOnce: 0 }] },
    '`runsAtOnce` must be a positive whole number',
  ],
  ['a limit in words', { server, quotas: [{ maxOpen: 'ten' }] }, '`maxOpen` must be a positive whole number'],
  ['a quota of no tool', { server, quotas: [{ tool: '', maxOpen: 1 }] }, '`tool` is the name of a tool'],
  [
    'a quota of a principal',
    { server, quotas: [{ perPrincipal: 'ann', maxOpen: 1 }] },
    '`perPrincipal` is true or false',
  ],
  [
    'two quotas for the same',
    { server, quotas: [{ maxOpen: 1 }, { maxOpen: 2, perPrincipal: false }] },
    'two have a `maxOpen` for the same calls',
  ],
  ['a misspelt event', { server, on: { cal: () => undefined } }, 'no event `cal`. Did you mean `call`?'],
]
test.each(WRONG)('%s is refused at once', (_name, options, says = 'exactly one of') => {
  expect(made(options)).toThrow(TypeError)
  expect(made(options)).toThrow(/^durable\(\): /)
  expect(made(options)).toThrow(says)
  expect(made(options)).not.toThrow('secret')
})

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['a factory', server],
  ['a server object', server()],
  ['a URL', 'http://localhost/mcp'],
])('%s in place of options is refused with an example', (_name, options) => {
  expect(made(options)).toThrow(TypeError)
  expect(made(options)).toThrow('durable({ server: () => createMyServer(), store })')
})

test('options that are undefined are not set', async () => {
  const mcp = durable({ server, store: memoryStore(), keepToken: undefined, retryMs: undefined })
  expect(await mcp.health()).toMatchObject({ ready: true })
  await mcp.close()
})

test('options of an old name are taken, and warned of', async () => {
  const logs: LogLine[] = []
  const old = { lease: -1, retry: 5 }
  expect(made({ server, logger: capture(logs), ...old })).toThrow('leaseMs')
  expect(logs).toMatchObject([
    { level: 'warn', message: expect.stringMatching(/`lease` is `leaseMs`, `retry` is `retryMs`/) },
  ])
})

const NO_HOSTS = '* https://example.com example.com/ example.com/mcp *.example.com ::1 a:b'.split(' ')
const NO_ORIGINS =
  '* https://example.com/ https://example.com/app example.com //example.com https://*.example.com https://a:port https:// https://a@b'.split(
    ' ',
  )
const NEVER: [setting: string, entry: string][] = [
  ...['', 'a b', ...NO_HOSTS].map((entry): [string, string] => ['allowedHosts', entry]),
  ...['', 'https://a ', ...NO_ORIGINS].map((entry): [string, string] => ['allowedOrigins', entry]),
]
test.each(NEVER)('%s: %j could never match, and is refused at once', (setting, entry) => {
  expect(made({ server, [setting]: [entry] })).toThrow(TypeError)
  expect(made({ server, [setting]: [entry] })).toThrow(`'${entry}' never comes like this`)
  expect(made({ server, [setting]: [entry] })).toThrow(setting)
})

const WRAPPERS: [name: string, wrapper: (...given: never[]) => unknown][] = [
  ['durableTool', durableTool],
  ['durablePrompt', durablePrompt],
  ['durableResource', durableResource],
]
test.each(WRAPPERS)('%s takes the handler alone', (name, wrapper) => {
  const wrap = wrapper as (...given: unknown[]) => unknown
  const handler = async () => ({ content: [] })
  expect(() => wrap('add', handler)).toThrow(TypeError)
  expect(() => wrap('add', { inputSchema: {} }, handler)).toThrow(
    `${name}() takes a handler, and was given a name`,
  )
  expect(() => wrap({ inputSchema: {} }, handler)).toThrow(/was given an object|no option `inputSchema`/)
  expect(() => wrap()).toThrow('was given undefined')
  expect(() => wrap('add', handler)).toThrow(/server\.register\w+\(…, durable\w+\(async/)
})

test('other functions name options that they do not have', () => {
  expect(() => eventStore(memoryStore(), 'one', { maxEvent: 1 } as object)).toThrow(
    'Did you mean `maxEvents`?',
  )
  expect(() => telemetry({ tracerProvder: 1 } as object)).toThrow('Did you mean `tracerProvider`?')
})

test('without a store, one line says what that does not survive', async () => {
  const lines: string[] = []
  const line = (_fields: object, message: string) => void lines.push(message)
  const logger: Logger = { error: line, warn: line, info: line, debug: line }
  const mcp = durable({ server, logger })
  expect(lines).toEqual([expect.stringMatching(/no store given/) as string])
  await mcp.close()
  expect(lines).toHaveLength(1)
})
