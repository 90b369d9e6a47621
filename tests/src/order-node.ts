// One node of the server in order.js over a file: `node order-node.js FILE VERSION`.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { durable } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { file } from '@mcp-durable/sqlite-store'
import { server } from './order.js'

const [path = '', version = ''] = process.argv.slice(2)
const mcp = durable({ server, store: file(path), version })
const http = createServer(node(mcp))
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})
