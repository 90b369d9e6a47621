import { closeOnSignal, fail, messageOf, portFlag, readFlags, urlFlag, usageError } from './cli.js'
import { listen } from './listen.js'
import { createLoadBalancer } from './load-balancer.js'

const usage = `usage: node dist/round-robin-lb.js --backend URL [--backend URL …] [--listen-port N] [--host HOST]

Hands every request to the next backend in turn; no request sticks to a node.

  --backend URL     a node, as in http://127.0.0.1:3001; give one for each node
  --listen-port N   port to listen on; 0 takes a free one (default 3000)
  --host HOST       address to bind (default 127.0.0.1)`

const { values } = readFlags(usage, {
  options: {
    backend: { type: 'string', multiple: true },
    'listen-port': { type: 'string', default: '3000' },
    host: { type: 'string', default: '127.0.0.1' },
  },
})
if (values.backend === undefined) usageError('give at least one --backend URL', usage)
const backends = values.backend.map((text) => urlFlag('backend', text, ['http:'], usage))
const port = portFlag('listen-port', values['listen-port'], usage)

try {
  const server = await listen(createLoadBalancer({ backends }), values.host, port)
  closeOnSignal(() => server.close())
  console.log(`listening on ${server.url}`)
} catch (error) {
  fail(messageOf(error))
}
