import type { ContextStore, WriteOptions } from '../store/context-store.js'
import { digest } from '../ids.js'
import { decodeValue, encodeValue } from './codec.js'
import { StateFullError } from './errors.js'
import { quietly } from './quietly.js'
import { attemptChange, stateAt, untilApplied } from './state-value.js'
import type { Place, Reader, SessionState } from './state-value.js'
import type { Outcome, Steps, StepSpec } from './steps.js'

/** The scope of a principal's state. No id of a session, a call or a handle is a digest of the like. */
export const scopeOfPrincipal = (principal: string) => digest(`state:${principal}`)

/** That of a handle: who reads names of keys can't use it. */
export const scopeOfHandle = (id: string) => digest(`handle:${id}`)

/** A state that is kept in another scope than the call. */
export type ScopeState = {
  scope: string
  read: Reader
  /** Of each write; `maxBytes`: for the error. */
  options: WriteOptions & { maxBytes: number }
  /** Tells the steps that change it apart from those of another state in the same call. */
  key?: string
  /** There is no such scope any more. */
  gone: () => Error
}

/** What a change does: to the value of this version, or to none (0). `data`: `undefined` for none. */
type Intent = { expected: number; data: string | undefined }

/**
 * A state in one call, kept in another scope. A change of it and the record of its step can't be one operation, so it is recorded
 * before what is about to be done: the next run does the same, and the scope knows by its mark whether that was done. A node
 * that has lost the call can't record, and so begins no change.
 */
export function stateElsewhere(
  store: ContextStore,
  { scope, read, options, key, gone }: ScopeState,
  callId: string,
  steps: Steps,
): SessionState {
  return stateAt({
    read,
    reading: (promise) => steps.beside(promise),
    changing: quietly,
    write: (place, name, change) =>
      steps.run(...stepOf(place, name, key), (step) => {
        const mark = `${callId}:${step.id}`
        let intent = steps.intent(step) as Intent | undefined
        return untilApplied(place.key, async (): Promise<Outcome | 'conflict'> => {
          if (!intent) {
            const next = await attemptChange(place, (value) => steps.within(step, change, value))
            steps.lifetime.throwIfAborted()
            if ('error' in next) return next
            intent = { expected: next.version, data: next.data }
            await steps.intend(step, intent)
          }
          const { expected, data } = intent
          const written = await store.writeValue(scope, place.key, expected, data, { ...options, mark })
          intent = undefined
          if (written === 'conflict') return written
          if (written === 'unknown') return { error: gone() }
          if (written === 'full') return { error: new StateFullError(place.key, options.maxBytes) }
          const value = data === undefined ? undefined : decodeValue(data)
          return steps.outcome(step, value)
        })
      }),
  })
}

function stepOf(
  place: Place,
  name: string | undefined,
  key: string | undefined,
): [name: string, spec: StepSpec] {
  const spec = { kind: 'state', check: place.check } as const
  const ofState = key !== undefined && { key }
  if (name !== undefined || !place.key.includes('\n'))
    return [name ?? `state ${place.key}`, { ...spec, ...ofState }]
  return ['state', { ...spec, key: encodeValue([place.key, key]) }]
}
