import { expect, test } from 'vitest'
import { durable } from '../src/index.js'
import type { DurableOptions, Logger } from '../src/index.js'
import { serverV1 } from './support/server-v1.js'
import { World } from './support/world.js'

const server = () => serverV1('node', new World())

const WRONG: [name: string, options: object][] = [
  ['no server', {}],
  ['a server and a handler', { server, handler: () => new Response() }],
  ['a server and an upstream', { server, upstream: 'http://localhost/mcp' }],
  ['a handler that is no function', { handler: {} }],
  ['an upstream that is no URL', { upstream: 'localhost:4000' }],
  ['a server that is no factory', { server: {} }],
  ['a time of zero', { server, sessionTtl: 0 }],
  ['a negative time', { server, hostIdle: -1 }],
  ['a fraction', { server, maxBodyBytes: 1.5 }],
  ['a text', { server, keepAlive: '15s' }],
  ['infinity', { server, maxHosts: Infinity }],
  ['a host that is no list', { server, allowedHosts: 'localhost' }],
]
test.each(WRONG)('%s is refused at once', (_name, options) => {
  expect(() => durable(options as DurableOptions)).toThrow(TypeError)
  expect(() => durable(options as DurableOptions)).toThrow(/^durable\(\): /)
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
