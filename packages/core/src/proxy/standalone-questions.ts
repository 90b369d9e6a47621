import { decodeInboxItem, parseAnswer } from '../call/inbox.js'
import type { ProxySession } from '../call/record.js'
import { DurableError } from '../errors.js'
import { digest } from '../ids.js'
import { isNotification, isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, RequestId } from '../json-rpc.js'
import type { Standalone } from '../session/standalone.js'
import { whileStoreFails, within } from '../store/retry.js'
import { BEGINNING } from '../store/store.js'
import type { Store } from '../store/store.js'
import { sleepFor } from '../timers.js'
import type { Outgoing } from './one-way.js'
import { unasked } from './refusal.js'

/** A question as the server knows it. `asker`: its name here. */
type Kept = { asker: string; session: ProxySession; id: RequestId; token?: RequestId }

export type StandaloneQuestionsServices = {
  /** Our session. */
  scope: string
  store: Pick<Store, 'readValue' | 'writeValue' | 'read' | 'dropLog'>
  standalone: Standalone
  /** Tells the server, in its terms. Resolves when that was tried once. */
  tell: (outgoing: Outgoing) => Promise<unknown>
  /** A question could not be asked. */
  complain: (error: unknown) => void
  /** An answer could not be looked for: it is told later. */
  postpone: (error: unknown) => void
  /** The server object is closed. */
  closed: AbortSignal
}

const KEY = 'mcp-durable:asked'
/** Of a session; the server hears that the oldest is not asked any more. It decides how many it asks, and how long its ids are. */
const MOST_KEPT = 100
const MOST_CHARS = 1000
/** What clients say of their progress before the server has taken what they said before. */
const MOST_TOLD = 100
/** While questions are open it is looked whether an answer was left by who has taken it; twice as long each time. */
const LOOK_MS = 5000
const MOST_LOOK_MS = 30_000
/** How long a question may wait for a store that is away. */
const KEPT_WITHIN_MS = 10_000

/**
 * What a server asks outside of its requests, whose session all nodes use and that gives its events again.
 *
 * Invariant: a question is kept in our session before the client is asked, by a name that follows from its event, until the server has
 * the answer. So the node to which the client answers tells the server, whichever has handed the question on; and if it does not, any
 * that knows of the question does later.
 */
export class StandaloneQuestions {
  readonly #services: StandaloneQuestionsServices
  readonly #answering = new Set<string>()
  #telling = 0
  #isLooking = false

  constructor(services: StandaloneQuestionsServices) {
    this.#services = services
  }

  /** Whether the server is just being told. */
  get isTelling() {
    return this.#answering.size > 0
  }

  /** True: it is a question, which is kept, or withdraws one that is. `place`: of the message in the session, if it has one. */
  async hear(
    message: JsonRpcRequest | JsonRpcNotification,
    session: ProxySession,
    place: string | undefined,
  ): Promise<boolean> {
    const name = place === undefined ? undefined : digest(`${session.id} ${place}`)
    if (isRequest(message)) return name !== undefined && this.#ask(message, session, name)
    return message.method === 'notifications/cancelled' && this.#withdraw(message, session, name)
  }

  /** The client has answered, or tells of its progress. */
  async said(asker: string, message: JsonRpcMessage) {
    const asked = await this.#asked()
    const kept = asked.find((each) => each.asker === asker)
    if (!kept) return
    if (isResponse(message)) return this.#answer(kept)
    if (isNotification(message)) await this.#tellProgress(kept, message)
  }

  /** What the client has answered, and nobody has told the server, as its node has died. */
  async tellLeft(session: ProxySession) {
    const asked = await this.#asked()
    if (asked.length > 0) this.#lookLater()
    for (const kept of asked) if (kept.session.id === session.id) await this.#answer(kept)
  }

  /** Asks the client once, whichever nodes hear of it. */
  async #ask(request: JsonRpcRequest, session: ProxySession, asker: string): Promise<boolean> {
    const { standalone, tell, complain } = this.#services
    const { id, params } = request
    const token = params?._meta?.['progressToken'] as RequestId | undefined
    const kept = { asker, session, id, ...(token !== undefined && { token }) }
    if (JSON.stringify(kept).length > MOST_CHARS) return false
    const question = wireIdOf(asker)
    const _meta = { ...params?._meta, progressToken: question }
    const sent = token === undefined ? request : { ...request, params: { ...params, _meta } }
    try {
      await whileStoreFails(() => this.#keep(kept), within(KEPT_WITHIN_MS))
      await standalone.send({ ...sent, id: question }, asker)
      this.#lookLater()
    } catch (error) {
      complain(error)
      void tell({ session, message: unasked(id, error), onOver: () => void this.#forget(asker) })
    }
    return true
  }

  async #withdraw(message: JsonRpcNotification, session: ProxySession, name: string | undefined) {
    const asked = await this.#asked()
    const requestId = message.params?.['requestId']
    const kept = asked.findLast(({ id, session: of }) => id === requestId && of.id === session.id)
    if (!kept) return false
    const withdrawn = { ...message, params: { ...message.params, requestId: wireIdOf(kept.asker) } }
    await this.#services.standalone.send(withdrawn, name)
    await this.#forget(kept.asker)
    return true
  }

  /** Whoever has taken an answer tells the server at once, if it can. What was there at one look, and is at the next, is told here. */
  #lookLater() {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#look()
      .catch(this.#services.postpone)
      .finally(() => (this.#isLooking = false))
  }

  async #look() {
    const { closed } = this.#services
    let left = new Set<string>()
    for (let wait = LOOK_MS; ; wait = Math.min(2 * wait, MOST_LOOK_MS)) {
      await sleepFor(wait, { signal: closed, ref: false })
      if (closed.aborted) return
      const asked = await this.#asked()
      if (asked.length === 0) return
      const answered = new Set<string>()
      for (const kept of asked) {
        if (left.has(kept.asker)) await this.#answer(kept)
        else if (await this.#answerOf(kept.asker)) answered.add(kept.asker)
      }
      left = answered
    }
  }

  /** The first one counts, which is the one in the inbox. */
  async #answerOf(asker: string) {
    const { scope, store } = this.#services
    const [entry] = (await this.#patiently(() => store.read(scope, inboxOf(asker), BEGINNING, 1))) ?? []
    const item = entry && decodeInboxItem(entry.data)
    return item?.kind === 'answer' ? parseAnswer(item.json) : undefined
  }

  async #answer({ asker, session, id }: Kept) {
    const answer = await this.#answerOf(asker)
    if (!answer || this.#answering.has(asker)) return
    this.#answering.add(asker)
    const onOver = async (heard: boolean) => {
      if (heard) await this.#forget(asker)
      this.#answering.delete(asker)
    }
    await this.#services.tell({ session, message: { ...answer, id }, onOver: (heard) => void onOver(heard) })
  }

  async #tellProgress({ session, id, token = id }: Kept, message: JsonRpcNotification) {
    if (this.#telling >= MOST_TOLD) return
    this.#telling++
    const params = { ...message.params, progressToken: token }
    await this.#services.tell({ session, message: { ...message, params } }).finally(() => this.#telling--)
  }

  async #keep(kept: Kept) {
    const { tell } = this.#services
    let gone: readonly Kept[] = []
    await this.#change((asked) => {
      gone = []
      if (asked.some(({ asker }) => asker === kept.asker)) return undefined
      const all = [...asked, kept]
      // Nobody answers in a session that the server has lost.
      const staying = all.filter(({ session }) => session.id === kept.session.id).slice(-MOST_KEPT)
      gone = all.filter((each) => !staying.includes(each))
      return staying
    })
    for (const { asker, session, id } of gone) {
      void this.#forget(asker)
      if (session.id === kept.session.id) void tell({ session, message: unasked(id, tooMany()) })
    }
  }

  /** If this fails for as long as the server object lives, the server may hear the same answer again. */
  async #forget(asker: string) {
    const { scope, store } = this.#services
    const forget = async () => {
      await this.#change((asked) => {
        const others = asked.filter((each) => each.asker !== asker)
        return others.length < asked.length ? others : undefined
      })
      await store.dropLog(scope, inboxOf(asker), [wireIdOf(asker)])
    }
    await this.#patiently(forget).catch(() => undefined)
  }

  async #change(next: (asked: readonly Kept[]) => readonly Kept[] | undefined) {
    const { scope, store } = this.#services
    for (;;) {
      const { asked, version } = await this.#read()
      const changed = next(asked)
      if (!changed) return
      const data = changed.length === 0 ? undefined : JSON.stringify(changed)
      if ((await store.writeValue(scope, KEY, version, data)) !== 'conflict') return
    }
  }

  async #asked(): Promise<readonly Kept[]> {
    const { asked } = await this.#patiently(() => this.#read())
    return asked
  }

  #read() {
    const { store, scope } = this.#services
    return readAsked(store, scope)
  }

  #patiently<T>(operation: () => Promise<T>): Promise<T> {
    return whileStoreFails(operation, { signal: this.#services.closed })
  }
}

/** Whether a question of that name is kept in the session. */
export async function isAsked(
  store: Pick<Store, 'readValue'>,
  scope: string,
  asker: string,
): Promise<boolean> {
  const { asked } = await readAsked(store, scope)
  return asked.some((kept) => kept.asker === asker)
}

async function readAsked(store: Pick<Store, 'readValue'>, scope: string) {
  const stored = await store.readValue(scope, KEY)
  if (!stored) return { asked: [] as readonly Kept[], version: 0 }
  return { asked: JSON.parse(stored.data) as readonly Kept[], version: stored.version }
}

const tooMany = () =>
  new DurableError(
    'too-many-questions',
    `The client has ${MOST_KEPT} newer questions of this session to answer. Ask again when it has answered some.`,
  )

const inboxOf = (asker: string) => `call:${asker}:in` as const
/** As of any question, and of its progress. */
const wireIdOf = (asker: string) => `${asker}.1`
