import { durable } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { createMyServer } from './my-server.ts'

const store = redisStore(new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'))
export const mcp = durable({ server: createMyServer, store })
