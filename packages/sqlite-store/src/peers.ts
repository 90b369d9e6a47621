import { randomBytes } from 'node:crypto'
import { keyOf } from './listeners.js'
import type { Listeners } from './listeners.js'
import { isNodeChannel } from './node-channels.js'
import { Links } from './peer-links.js'
import type { Message, Wake } from './peer-messages.js'
import { Turns } from './turns.js'

export type { Wake } from './peer-messages.js'

/** What this process watches. */
type Watched = Pick<Listeners, 'has' | 'nodeChannels'>
type Question = { unanswered: Set<string>; settle: (isWatched: boolean) => void }

/** A process that says nothing for so long, and has not ended, is taken for one that is stopped: it still listens. */
const ANSWER_MS = 250
const RESYNC: Wake = { name: undefined, scope: '', topic: 'resync', value: '' }

/**
 * The other processes that have the file open, or other handles of this one: wakes go to them, and turns to write are fair.
 *
 * All of it is hints: what is lost or late costs time, and never what is in the file. A wake that could not be said is made
 * good by a `resync`. Nothing here waits for a process that was stopped for longer than some ms, or keeps more than a bounded
 * number of bytes for it.
 */
export class Peers {
  readonly #links: Links | undefined
  readonly #turns: Turns
  readonly #onWake: (wakes: readonly Wake[]) => void
  readonly #watched: Watched
  readonly #questions = new Map<number, Question>()
  #lastQuestion = 0

  /** `path`: of the file; `undefined`: there is none, as of a database in memory, and so no others. `watched`: by this process. */
  static open(
    path: string | undefined,
    onWake: (wakes: readonly Wake[]) => void,
    watched: Watched = { has: () => false, nodeChannels: [] },
  ): Peers {
    return new Peers(path, onWake, watched)
  }

  private constructor(path: string | undefined, onWake: (wakes: readonly Wake[]) => void, watched: Watched) {
    this.#onWake = onWake
    this.#watched = watched
    const id = randomBytes(6).toString('hex')
    this.#turns = new Turns(id, (since) => this.#links?.sendAll({ kind: 'waits', since }))
    if (path === undefined) return
    this.#links = new Links(path, id, {
      heard: (peer, message) => this.#heard(peer, message),
      missed: () => this.#onWake([RESYNC]),
      gone: (peer) => this.#gone(peer),
    })
    this.watchesNodes()
  }

  /** Resolves when this process hears what the others tell. */
  async ready(): Promise<void> {
    await this.#links?.ready()
  }

  /** Why other processes hear nothing of this one, if something is in the way: a sentence for the log. */
  get problem(): string | undefined {
    return this.#links?.problem
  }

  /**
   * After each write transaction, also one that was rolled back: tells the others what has changed (may be empty: then it only ends
   * a turn). Never waits, never throws.
   */
  committed(wakes: readonly Wake[]): void {
    if (wakes.length > 0 || this.#turns.areWanted) this.#links?.sendAll({ kind: 'wakes', wakes })
    this.#turns.done()
  }

  /** Before a write transaction: `undefined` when nobody else waits for the file, else resolves when they had their turn. */
  turn(): Promise<void> | undefined {
    return this.#turns.turn()
  }

  /** The file was busy: tells the others that this process waits; resolves when one has committed, or after a few ms. */
  busy(): Promise<void> {
    return this.#turns.busy()
  }

  /** This process watches other channels of nodes than before. */
  watchesNodes() {
    this.#links?.tellNodeChannels(this.#watched.nodeChannels)
  }

  /**
   * Whether another process watches the scope. One that has ended does not; one that was stopped does if the scope is the channel of
   * one of its nodes, or none of a node. Takes some 250 ms at most. Where no others can be seen, each node may be theirs.
   */
  async isWatched(name: string | undefined, scope: string): Promise<boolean> {
    if (this.#links?.isCut) return isNodeChannel(scope)
    await this.ready()
    const asked: string[] = []
    for (const peer of this.#links?.peers ?? []) {
      const told = isNodeChannel(scope) ? this.#links?.nodeChannelsOf(peer) : undefined
      if (told?.includes(keyOf(name, scope))) return true
      if (!told) asked.push(peer)
    }
    return asked.length > 0 && this.#ask(asked, name, scope)
  }

  #ask(peers: readonly string[], name: string | undefined, scope: string): Promise<boolean> {
    const question = ++this.#lastQuestion
    return new Promise((resolve) => {
      const settle = (isWatched: boolean) => {
        clearTimeout(timer)
        this.#questions.delete(question)
        resolve(isWatched)
      }
      const timer = setTimeout(settle, ANSWER_MS, true)
      this.#questions.set(question, { unanswered: new Set(peers), settle })
      for (const peer of peers) this.#links?.send(peer, { kind: 'asks', question, name, scope })
    })
  }

  /** The others are told; what waits here goes on at once. */
  async close(): Promise<void> {
    this.#turns.close()
    for (const { settle } of this.#questions.values()) settle(false)
    await this.#links?.close()
  }

  #heard(peer: string, message: Message) {
    switch (message.kind) {
      case 'wakes':
        if (message.wakes.length > 0) this.#onWake(message.wakes)
        return this.#turns.committed(peer)
      case 'waits':
        return this.#turns.waits(peer, message.since)
      case 'asks': {
        const { question, name, scope } = message
        return this.#links?.send(peer, {
          kind: 'answers',
          question,
          isWatched: this.#watched.has(name, scope),
        })
      }
      case 'answers':
        return this.#answered(peer, message.question, message.isWatched)
    }
  }

  #answered(peer: string, number: number, isWatched: boolean) {
    const question = this.#questions.get(number)
    question?.unanswered.delete(peer)
    if (isWatched || question?.unanswered.size === 0) question?.settle(isWatched)
  }

  #gone(peer: string) {
    this.#turns.left(peer)
    for (const number of this.#questions.keys()) this.#answered(peer, number, false)
  }
}
