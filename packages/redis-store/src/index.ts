// The store
export { redisStore } from './redis-store.js'
export type { RedisStoreOptions } from './check-options.js'

// What it needs of a client
export type { RedisLike } from './redis-like.js'
