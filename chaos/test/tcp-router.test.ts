import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { waitFor } from '../../test-support/index.js'
import { Random } from '../src/random.js'
import { TcpRouter } from '../src/tcp-router.js'

const CLIENTS = 40
const CUTS = 4

// What arrives over TCP is the beginning of what was sent, wherever it ends. A balancer that repeats or leaves out bytes
// would make events of its own, and the nodes would be blamed for them.
test('however often connections are cut, a client gets the beginning of what a node sent', async () => {
  const nodes: Socket[] = []
  const node = createServer((socket) => nodes.push(socket.on('error', () => undefined)))
  node.listen(0, '127.0.0.1')
  await once(node, 'listening')
  const router = await TcpRouter.start(() => [(node.address() as AddressInfo).port])
  onTestFinished(async () => {
    await router[Symbol.asyncDispose]()
    node.close()
  })
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const client = connect(Number(router.url.port), '127.0.0.1').setEncoding('utf8')
      const got = { text: '', closed: false }
      client.on('data', (text: string) => void (got.text += text))
      client.on('error', () => undefined)
      client.on('close', () => void (got.closed = true))
      await once(client, 'connect')
      return got
    }),
  )
  await waitFor(() => nodes.length === CLIENTS)

  const random = new Random(1)
  for (let cut = 0; cut < CUTS; cut++) router.cut(random)
  const sent = Array.from({ length: 100 }, (_, number) => `line ${number}\n`).join('')
  for (const socket of nodes) if (!socket.destroyed) socket.end(sent)

  await waitFor(() => clients.every(({ closed }) => closed))
  expect(clients.filter(({ text }) => !sent.startsWith(text)).map(({ text }) => text)).toEqual([])
  expect(clients.some(({ text }) => text === sent)).toBe(true)
  expect(clients.some(({ text }) => text !== '' && text !== sent)).toBe(true)
})
