// Connecting
export { connect, reconnect } from './connect.js'
export type { ConnectOptions, ReconnectOptions } from './connect.js'
export type { Connection } from './connection.js'
export type { ClientLike, TransportClass, TransportLike } from './transport-like.js'

// Sending
export { durableFetch } from './durable-fetch.js'
export type { DurableFetchOptions, FetchLike, RetryInfo, SentRequest } from './retry-options.js'
