import type { ContextStore } from '../store/context-store.js'
import { checkNames } from '../known-options.js'
import { isRandomId, RANDOM_ID_BYTES } from '../ids.js'
import type { ContextLimits } from './limits.js'
import { HandleLimitError, UnknownHandleError } from './errors.js'
import { quietly } from './quietly.js'
import { scopeOfHandle, stateElsewhere } from './scope-state.js'
import type { SessionState } from './state-value.js'
import type { StepKey } from './step-options.js'
import type { Step } from './step.js'
import type { Steps } from './steps.js'

/** A state that several calls share because their caller passes its id, from one to the next. */
export interface Handle {
  /** 128 random bits. Where nobody is known who calls, whoever has it may use it: then it is a secret. */
  readonly id: string
  readonly state: SessionState
}

/** `ttlMs`: how long it lives after its last use: when it is opened, or its state changes. */
export type HandleOptions = StepKey & { ttlMs: number }

type HandleCall = {
  callId: string
  principal: string | undefined
  store: ContextStore
  steps: Steps
  limits: ContextLimits
}

/** The handles of a call's caller. They belong to the principal that created them. */
export class Handles {
  readonly #call: HandleCall

  constructor(call: HandleCall) {
    this.#call = call
  }

  /**
   * Creates a handle: one, however often the call is run. It is a step, of this name. Return the `id` to the client, and take it as
   * an argument in later calls. Throws a `HandleLimitError` where the principal has `maxHandlesPerPrincipal`.
   */
  create(name: string, options: HandleOptions): Promise<Handle> {
    return this.#call.steps.beside(this.#create(name, options))
  }

  /**
   * The handle that a client has passed. Throws an `UnknownHandleError` if there is none of this caller with this id: it was never
   * created, is another principal's, or has expired. To the client it is a tool's error, or else `-32602` (invalid params).
   */
  open(id: string): Promise<Handle> {
    return quietly(this.#open(id))
  }

  async #create(name: string, options: Partial<HandleOptions> = {}) {
    checkNames(`The handle "${name}"`, options, ['key', 'ttlMs'])
    const { key, ttlMs = 0 } = options
    if (!(Number.isSafeInteger(ttlMs) && ttlMs > 0))
      throw new RangeError('`ttlMs` of a handle is a whole number of milliseconds, above 0.')
    const { steps, store, principal, limits } = this.#call
    const { maxHandlesPerPrincipal: maxPerPrincipal } = limits
    const id = await steps.run(name, { key, kind: 'handle' }, async (step) => {
      const intent = steps.intent(step)
      const fresh = typeof intent === 'string' ? intent : newId(steps, step)
      if (intent === undefined) await steps.intend(step, fresh)
      const begun = await store.beginScope(scopeOfHandle(fresh), { principal, ttlMs }, { maxPerPrincipal })
      return begun === 'limit' ? { error: new HandleLimitError(maxPerPrincipal) } : steps.outcome(step, fresh)
    })
    return this.#handle(String(id))
  }

  async #open(id: string) {
    const { store, principal } = this.#call
    // What a client has sent may be anything; only ids reach the store.
    if (typeof id !== 'string' || !isRandomId(id)) throw new UnknownHandleError()
    if (!(await store.useScope(scopeOfHandle(id), principal))) throw new UnknownHandleError()
    return this.#handle(id)
  }

  #handle(id: string): Handle {
    const { callId, store, steps, limits } = this.#call
    const scope = scopeOfHandle(id)
    const state = {
      scope,
      read: (key: string) => store.readValue(scope, key),
      options: { maxBytes: limits.maxStateBytes, markMs: limits.sessionTtlMs },
      key: scope,
      gone: () => new UnknownHandleError(),
    }
    return { id, state: stateElsewhere(store, state, callId, steps) }
  }
}

const newId = ({ timeAndChance }: Steps, { id }: Step) =>
  Buffer.from(timeAndChance.randomBytes(RANDOM_ID_BYTES, id)).toString('base64url')
