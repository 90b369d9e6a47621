/**
 * What the store needs of a client. `Redis` (single server, Sentinel) and `Cluster` of ioredis 5.9 and 6 have it.
 * The client is the application's: the store neither configures nor closes it.
 */
export interface RedisLike {
  readonly status: string
  readonly isCluster: boolean
  /** The socket, if there is one only. */
  readonly stream?: { cork(): void; uncork(): void } | undefined
  readonly options: { keyPrefix?: string | undefined }
  connect(): Promise<void>
  evalsha(sha: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>
  xadd(key: string, nomkstream: 'NOMKSTREAM', id: string, ...fields: (string | number)[]): Promise<unknown>
  eval(lua: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>
  on(event: string, listener: (...args: unknown[]) => void): unknown
  /** `GET` of what the server takes; without it, 512 MB are assumed. */
  config?(get: 'GET', name: string): Promise<unknown>
  /** Makes the one connection that the store owns, which hears wake-ups. */
  duplicate(...overrides: never[]): unknown
}

/** What the store needs of the connection on which it waits for what it has written. */
export interface WriterLike extends RedisLike {
  pipeline(): PipelineLike
  /** Of a Cluster. */
  nodes?(role: 'master'): WriterLike[]
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  disconnect(): void
}

export interface PipelineLike {
  evalsha(sha: string, keyCount: number, ...keysAndArgs: (string | number)[]): unknown
  eval(lua: string, keyCount: number, ...keysAndArgs: (string | number)[]): unknown
  set(key: string, value: string, px: 'PX', ms: number): unknown
  call(command: string, ...args: (string | number)[]): unknown
  exec(): Promise<unknown>
}

/** What the store needs of the connection that hears wake-ups. */
export interface SubscriberLike {
  readonly status: string
  ssubscribe(channel: string): Promise<unknown>
  sunsubscribe(channel: string): Promise<unknown>
  /** Of a Cluster. */
  refreshSlotsCache?(): void
  /** Where the server has no sharded pub/sub. */
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  connect(): Promise<void>
  disconnect(): void
  on(event: string, listener: (...args: unknown[]) => void): unknown
}
