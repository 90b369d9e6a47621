import { Redis } from 'ioredis'

/** Rewriting its log from time to time is work for a third core. */
export const quietRedis = { 'auto-aof-rewrite-percentage': 0 }

/** A figure of INFO. */
export async function infoOf(url: string, section: string, name: string): Promise<number> {
  const redis = new Redis(url)
  const info = await redis.info(section)
  redis.disconnect()
  return Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1])
}

/** CPU time of a Redis server so far, in µs. */
export async function redisCpu(url: string): Promise<number> {
  const system = await infoOf(url, 'cpu', 'used_cpu_sys')
  return (system + (await infoOf(url, 'cpu', 'used_cpu_user'))) * 1e6
}
