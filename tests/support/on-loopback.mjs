// Preloaded into servers that were not written here: they listen on loopback, at LISTEN_PORT, and say where.

import { Server } from 'node:net'

const { listen } = Server.prototype
Server.prototype.listen = function (...args) {
  const callbacks = args.filter((arg) => typeof arg === 'function')
  this.once('listening', () => console.log(`listening on http://127.0.0.1:${this.address().port}`))
  return listen.call(this, { host: '127.0.0.1', port: Number(process.env.LISTEN_PORT) }, ...callbacks)
}
