import { node } from '@mcp-durable/core/node'
import Fastify from 'fastify'
import { mcp } from './mcp.ts'

const app = Fastify()
const serveMcp = node(mcp)

app.register((scope, _options, done) => {
  scope.removeAllContentTypeParsers() // durable() reads the body itself
  scope.addContentTypeParser('*', (_request, _body, parsed) => parsed(null))
  scope.all('/mcp', (request, reply) => {
    reply.hijack()
    serveMcp(request.raw, reply.raw)
  })
  done()
})

app.addHook('preClose', () => mcp.close())
process.once('SIGTERM', () => void app.close().then(() => process.exit()))

const address = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`listening on ${address}`)
