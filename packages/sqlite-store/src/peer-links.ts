import { chmodSync, existsSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { IncomingLink } from './incoming-link.js'
import { readNodeChannels, writeNodeChannels } from './node-channels.js'
import { OutgoingLink } from './outgoing-link.js'
import { lineOf } from './peer-messages.js'
import type { Message } from './peer-messages.js'
import { makeFolder, peersFolder, remove } from './peers-folder.js'

export type LinkEvents = {
  heard: (peer: string, message: Message) => void
  /** Something that others have said may not have been heard. */
  missed: () => void
  /** The process has ended, or has closed the file. */
  gone: (peer: string) => void
}

const NAME = /^([0-9a-f]{12})\.(sock|nodes)$/
const ATTEMPTS = 3
const AGAIN_MS = 1000
const READY_MS = 250

/**
 * Sockets between the processes that have a file open. Each listens at one in a folder beside the file, and speaks to each of the others
 * over a connection of its own. Whoever opens the file listens first, then looks who is there, and says who it is, so of two
 * that come at the same time at least one finds the other. Whoever finds the socket of a process that has ended removes it.
 */
export class Links {
  readonly #id: string
  readonly #folder: string
  readonly #events: LinkEvents
  readonly #server: Server
  readonly #out = new Map<string, OutgoingLink>()
  readonly #in = new Set<IncomingLink>()
  /** Those that were there before, and have not said a word yet: what they tell the others does not come here. */
  readonly #silent = new Set<string>()
  readonly #whenHeard: Array<() => void> = []
  #gaveUp = false
  #isCut = false
  #closed = false
  #problem: string | undefined

  constructor(path: string, id: string, events: LinkEvents) {
    this.#id = id
    this.#events = events
    this.#server = createServer((socket) => this.#accept(socket)).unref()
    // One error is thrown below; later ones are those of single connections that can't be accepted.
    this.#server.on('error', (error) => (this.#problem ??= problemOf(error)))
    this.#folder = peersFolder(path)
    try {
      this.#listen()
      for (const name of readdirSync(this.#folder)) this.#find(name)
      for (const peer of this.#out.keys()) this.#silent.add(peer)
    } catch (error) {
      this.#isCut = true
      this.#problem = problemOf(error)
    }
  }

  /** This process knows of no others, and they may be there. */
  get isCut() {
    return this.#isCut
  }

  get problem() {
    return this.#problem
  }

  /** Resolves when all who were there before know of this one; not later than after some ms, as one may have been stopped. */
  ready(): Promise<void> {
    if (this.#silent.size === 0 || this.#gaveUp || this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#gaveUp = true
        resolve()
      }, READY_MS)
      this.#whenHeard.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** Those that are connected. */
  get peers(): string[] {
    return [...this.#out.values()].filter(({ isUp }) => isUp).map(({ peer }) => peer)
  }

  /** Which channels of nodes this process watches: all of them. */
  tellNodeChannels(channels: readonly string[]) {
    if (!this.#server.listening || this.#closed) return
    try {
      writeNodeChannels(this.#nodesFile(this.#id), channels)
    } catch {
      // Better nothing than what was true before: then it is asked.
      this.#removeNodesFile(this.#id)
    }
  }

  /** What the process has told last, also before this one came; `undefined`: it is not known. */
  nodeChannelsOf(peer: string) {
    return readNodeChannels(this.#nodesFile(peer))
  }

  send(peer: string, message: Message) {
    this.#out.get(peer)?.send(lineOf(message))
  }

  sendAll(message: Message) {
    if (this.#out.size === 0) return
    const line = lineOf(message)
    for (const link of this.#out.values()) link.send(line)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#settle()
    remove(() => unlinkSync(this.#address(this.#id)))
    this.#removeNodesFile(this.#id)
    for (const link of this.#in) link.close()
    await Promise.all([...this.#out.values()].map((link) => link.close()))
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    remove(() => rmdirSync(this.#folder))
  }

  #address(id: string) {
    return join(this.#folder, `${id}.sock`)
  }

  #nodesFile(id: string) {
    return join(this.#folder, `${id}.nodes`)
  }

  #removeNodesFile(id: string) {
    remove(() => unlinkSync(this.#nodesFile(id)))
  }

  /** What is in the folder when this process comes. A socket is there first and goes first, so one who has none has ended. */
  #find(file: string) {
    const [, id, kind] = NAME.exec(file) ?? []
    if (id === undefined) return
    if (kind === 'sock') this.#meet(id)
    else if (!existsSync(this.#address(id))) this.#removeNodesFile(id)
  }

  /** The name by which others find it appears when it listens already, so a refused connection means that the process has ended. */
  #listen() {
    const early = join(this.#folder, `${this.#id}.new`)
    for (let attempt = 1; !this.#server.listening; attempt++) {
      makeFolder(this.#folder)
      // Without `exclusive` a worker of node:cluster would have its parent listen, for all workers at once.
      this.#server.listen({ path: early, exclusive: true })
      // The last one to leave may have removed the folder just now.
      if (!this.#server.listening && attempt === ATTEMPTS) throw new Error(`can't listen at ${early}`)
    }
    chmodSync(early, 0o600)
    renameSync(early, this.#address(this.#id))
  }

  #meet(peer: string, hasMissed = false) {
    if (peer === this.#id || this.#out.has(peer) || this.#closed) return
    const address = this.#address(peer)
    const link = new OutgoingLink({ peer, address, own: this.#id, hasMissed }, (wasUp) => {
      this.#out.delete(peer)
      this.#events.gone(peer)
      this.#heard(peer)
      if (!existsSync(address)) this.#removeNodesFile(peer)
      if (wasUp) setTimeout(() => this.#meetAgain(peer), AGAIN_MS).unref()
    })
    this.#out.set(peer, link)
  }

  /** Most have ended: their sockets are removed by trying. */
  #meetAgain(peer: string) {
    if (existsSync(this.#address(peer))) this.#meet(peer, true)
  }

  #heard(peer: string): boolean {
    const wasSilent = this.#silent.delete(peer)
    if (this.#silent.size === 0) this.#settle()
    return wasSilent
  }

  #settle() {
    for (const resolve of this.#whenHeard.splice(0)) resolve()
  }

  #accept(socket: Socket) {
    if (this.#closed) return socket.destroy()
    const link = new IncomingLink(socket, {
      hello: (peer) => {
        this.#meet(peer)
        // It may have told of changes before, while this one did not wait for it any more.
        if (this.#heard(peer) && this.#gaveUp) this.#events.missed()
      },
      message: (peer, message) => !this.#closed && this.#events.heard(peer, message),
      missed: () => !this.#closed && this.#events.missed(),
      closed: () => this.#in.delete(link),
    })
    this.#in.add(link)
    return undefined
  }
}

const problemOf = (error: unknown) =>
  `Processes that have the file open can't tell each other of changes: ${error instanceof Error ? error.message : String(error)}. ` +
  'They find them some seconds later. Let them run as one user, who may write to the folder of the file.'
