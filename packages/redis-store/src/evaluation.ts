import { Cluster, Command, Redis } from 'ioredis'
import type { RedisLike } from './redis-like.js'

type Argument = string | number

/** Runs a script that the server knows by its hash. */
export type Evaluate = (sha: string, keys: readonly string[], args: readonly Argument[]) => Promise<unknown>

/**
 * How a client runs scripts. ioredis takes the arguments of a command through `flat()`, which takes longer than all else that
 * it does with the thirty of a script. So the command is made without any and given them afterwards. A client of another copy
 * of ioredis has commands of its own, and is asked as usual.
 */
export function evaluateOn(redis: RedisLike): Evaluate {
  if (!(redis instanceof Redis || redis instanceof Cluster))
    return (sha, keys, args) => redis.evalsha(sha, keys.length, ...keys, ...args)
  const { keyPrefix = '' } = redis.options
  return (sha, keys, args) => {
    const all: Argument[] = [sha, keys.length]
    for (const key of keys) all.push(keyPrefix === '' ? key : keyPrefix + key)
    for (const arg of args) all.push(arg)
    const command = new Command('evalsha', [], { replyEncoding: 'utf8' })
    command.args = all
    command.stringifyArguments()
    return redis.sendCommand(command) as Promise<unknown>
  }
}
