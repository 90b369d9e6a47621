// The store
export { redisStore } from './redis-store.js'
export type { RedisStoreOptions } from './redis-store.js'

// What it needs of a client
export type { RedisLike } from './redis-like.js'
