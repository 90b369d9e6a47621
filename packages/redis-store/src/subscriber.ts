import { setTimeout as sleep } from 'node:timers/promises'
import type { Unwatch, WatchListener } from '@mcp-durable/core/store'
import { Channel } from './channel.js'
import { Deadline } from './deadline.js'
import { storeError, subscriptionError, unavailable } from './errors.js'
import { Polling } from './polling.js'
import type { ReadNews } from './polling.js'
import type { RedisLike, SubscriberLike } from './redis-like.js'
import { subscriberConnection } from './subscriber-connection.js'
import { isLacking, WakeUps } from './wake-ups.js'
import type { Way } from './wake-ups.js'

const ATTEMPT_MS = 2000
const FIRST_RETRY_MS = 100
const MOST_RETRY_MS = 2000
/** What happens together in a Cluster (a node leaves, another takes over) is one break, not five. While breaks follow each other it is longer. */
const SETTLE_MS = 100
const MOST_SETTLE_MS = 5000
const CALM_MS = 10_000

/**
 * A master that gives a slot away says so once: ioredis 6 asks for the new map then, and maybe a master that has not heard of it, and
 * ioredis 5 does not. If a master stands still, and another one takes its place, nobody says anything.
 */
const SLOTS_EVERY_MS = 5000

/**
 * Wake-ups of all scopes over one connection (in a Cluster: one for each master that has some).
 *
 * Every channel is steered towards what its listeners want, by one loop of its own, until the server has
 * confirmed it on the present connection. So a break, a fail-over or a moved slot needs no special case: all
 * channels count as lost, are subscribed again, and their listeners are told to look for what they missed. Where the server takes
 * no subscriptions, channels are polled.
 */
export class Subscriber {
  readonly #client: RedisLike
  readonly #keyPrefix: string
  readonly #wakeUps: WakeUps
  readonly #polling: Polling
  readonly #unlisten: () => void
  readonly #channels = new Map<string, Channel>()
  #connection: SubscriberLike | undefined
  #askingForSlots: NodeJS.Timeout | undefined
  #breaks = 0
  readonly #untold: Array<{ name: string; topic: string; value: string }> = []
  #settling: NodeJS.Timeout | undefined
  #settleMs = SETTLE_MS
  #brokeAt = Number.NEGATIVE_INFINITY
  #ready = new Gate()
  #closed = false

  /** `readNews`: for a server without pub/sub. */
  constructor(client: RedisLike, readNews: ReadNews) {
    this.#client = client
    this.#wakeUps = WakeUps.of(client)
    this.#polling = new Polling(readNews)
    this.#unlisten = this.#wakeUps.onChange(() => this.#broke())
    this.#keyPrefix = client.options.keyPrefix ?? ''
  }

  async watch(key: string, listener: WatchListener, deadline: Deadline): Promise<Unwatch> {
    if (this.#closed) throw unavailable('closed')
    // Scripts publish under the name that the client has given the key.
    const channel = this.#channel(this.#keyPrefix + key)
    const remove = channel.add(listener)
    const end = () => {
      remove()
      if (!channel.wanted) void this.#steer(channel)
    }
    try {
      void this.#steer(channel)
      await deadline.within(channel.untilActive())
      return end
    } catch (error) {
      end()
      throw storeError(error, true)
    }
  }

  /** Whether it takes a subscription at all. */
  async tryOut(key: string, deadline: Deadline) {
    const unwatch = await this.watch(key, () => undefined, deadline)
    unwatch()
  }

  /** Whether the server has confirmed that this store listens. */
  listensTo(key: string): boolean {
    return this.#channels.get(this.#keyPrefix + key)?.active === true
  }

  /** Says to listeners here what nobody else listens to, so that it need not go over the server; in a later turn, as if it had. */
  tell(key: string, topic: string, value: string) {
    if (this.#untold.push({ name: this.#keyPrefix + key, topic, value }) > 1) return
    setImmediate(() => {
      for (const { name, topic: about, value: said } of this.#untold.splice(0))
        this.#channels.get(name)?.emit(about, said)
    })
  }

  close() {
    this.#closed = true
    clearTimeout(this.#settling)
    clearInterval(this.#askingForSlots)
    this.#connection?.disconnect()
    this.#polling.close()
    this.#unlisten()
    this.#channels.clear()
    this.#ready.open()
  }

  #connect(): SubscriberLike {
    const connection = subscriberConnection(this.#client)
    connection.on('ready', () => this.#ready.open())
    for (const event of ['smessage', 'message'])
      connection.on(event, (name, message) => this.#heard(String(name), String(message)))
    connection.on('close', () => {
      this.#ready.close()
      this.#broke()
    })
    if (this.#client.isCluster)
      this.#askingForSlots = setInterval(() => {
        if (this.#ready.isOpen) connection.refreshSlotsCache?.()
      }, SLOTS_EVERY_MS).unref()
    // A Cluster stays up while it loses, replaces or moves the connection of a master.
    for (const event of this.#client.isCluster ? ['-node', '-subscriber', 'subscribersReady'] : []) {
      connection.on(event, () => this.#brokeSoon())
    }
    return connection
  }

  #heard(name: string, message: string) {
    const channel = this.#channels.get(name)
    if (!channel) return
    const [topic, rest] = cut(message)
    if (!topic.startsWith('\n')) return channel.emit(topic, rest)
    // A small entry comes with its news: log, id, the id before it, data.
    const [id, more] = cut(rest)
    const [previous, data] = cut(more)
    channel.emit(topic.slice(1), id, { previous, entries: [{ id, data }] })
  }

  #brokeSoon() {
    // When it becomes ready, everything is subscribed again anyway.
    if (this.#closed || !this.#ready.isOpen || this.#settling) return
    const isCalm = performance.now() - this.#brokeAt > CALM_MS
    this.#settleMs = isCalm ? SETTLE_MS : Math.min(2 * this.#settleMs, MOST_SETTLE_MS)
    this.#settling = setTimeout(() => {
      this.#settling = undefined
      this.#brokeAt = performance.now()
      this.#broke()
    }, this.#settleMs).unref()
  }

  #broke() {
    this.#breaks++
    for (const channel of this.#channels.values()) {
      channel.active = false
      void this.#steer(channel)
    }
  }

  #channel(name: string) {
    let channel = this.#channels.get(name)
    if (!channel) this.#channels.set(name, (channel = new Channel(name)))
    return channel
  }

  async #steer(channel: Channel) {
    if (channel.syncing) return
    channel.syncing = true
    let delay = FIRST_RETRY_MS
    while (!this.#closed && channel.wanted !== channel.active) {
      if (await this.#attempt(channel)) continue
      await sleep(delay * (0.5 + Math.random() / 2), undefined, { ref: false })
      delay = Math.min(2 * delay, MOST_RETRY_MS)
    }
    channel.syncing = false
    if (!channel.wanted) this.#channels.delete(channel.name)
  }

  async #attempt(channel: Channel): Promise<boolean> {
    const { wanted } = channel
    const breaks = this.#breaks
    // From the moment it is sent, nobody may rely on the subscription any more.
    if (!wanted) channel.unsubscribed()
    const way = this.#wakeUps.subscription
    try {
      await new Deadline(ATTEMPT_MS).within(this.#send(channel, way, wanted))
    } catch (error) {
      const reason = subscriptionError(error, COMMANDS[way])
      if (reason.code !== 'store-failed') return false
      if (isLacking(String(error)) && this.#wakeUps.refused(way, reason.message)) return true
      channel.refused(reason)
      return false
    }
    if (!wanted) return true
    if (breaks !== this.#breaks) return true
    this.#wakeUps.confirmed()
    channel.subscribed()
    return true
  }

  async #send(channel: Channel, way: Way, wanted: boolean) {
    if (way === 'polled') {
      const key = channel.name.slice(this.#keyPrefix.length)
      return wanted ? this.#polling.begin(key, channel) : this.#polling.end(key)
    }
    const connection = (this.#connection ??= this.#connect())
    await this.#ready.opened
    if (way === 'plain')
      return wanted ? connection.subscribe(channel.name) : connection.unsubscribe(channel.name)
    if (!wanted) return connection.sunsubscribe(channel.name)
    // For a Cluster ioredis remembers each of several subscriptions of a channel, and repeats them all.
    if (this.#client.isCluster && channel.wasSent)
      connection.sunsubscribe(channel.name).catch(() => undefined)
    channel.wasSent = true
    return connection.ssubscribe(channel.name)
  }
}

const COMMANDS = { sharded: 'SSUBSCRIBE', plain: 'SUBSCRIBE', polled: 'XRANGE' } as const

function cut(text: string): [word: string, rest: string] {
  const space = text.indexOf(' ')
  return [text.slice(0, space), text.slice(space + 1)]
}

/** Lets waiters through while it is open. */
class Gate {
  #let: () => void = () => undefined
  opened = this.#next()
  isOpen = false

  open() {
    this.isOpen = true
    this.#let()
  }

  close() {
    this.isOpen = false
    this.#let()
    this.opened = this.#next()
  }

  #next() {
    return new Promise<void>((resolve) => (this.#let = resolve))
  }
}
