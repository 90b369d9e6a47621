import { recognising } from '../seal/sealed-store.js'
import { checkNames } from '../known-options.js'
import type { ContextStore, WriteOptions } from '../store/context-store.js'
import { MAX_RECORD_BYTES, requireFits } from '../errors.js'
import { StateFullError, UnknownScopeError } from './errors.js'
import { quietly } from './quietly.js'
import type { RecordLimit } from './sorted-map.js'
import { attemptChange, stateAt, untilApplied } from './state-value.js'
import type { Place, SessionState } from './state-value.js'
import type { Steps, StepSpec } from './steps.js'

/**
 * The state of a session, from outside of a call. In a call use `ctx.state`, whose changes are not repeated. A value of
 * more than `maxRecordBytes` is refused with a `RecordTooLargeError`.
 */
export function sessionState(store: ContextStore, scope: string, options: RecordLimit = {}): SessionState {
  checkNames('sessionState()', options, ['maxRecordBytes'])
  const { maxRecordBytes = MAX_RECORD_BYTES } = options
  return stateOutside(recognising(store), scope, maxRecordBytes)
}

/** A state that is changed in no call: a change may be made without its maker hearing of it. */
export function stateOutside(
  store: ContextStore,
  scope: string,
  maxRecordBytes: number,
  options?: WriteOptions & { maxBytes: number },
): SessionState {
  return stateAt({
    read: (key) => store.readValue(scope, key),
    reading: (promise) => promise,
    changing: (promise) => promise,
    async write(place, _name, change) {
      const outcome = await untilApplied(place.key, async () => {
        const { version, value } = await place.read()
        const next = await place.prepare(await change(value))
        requireFits(next.encoded, maxRecordBytes, `the value of the state ${place.key}`)
        const written = await store.writeValue(scope, place.key, version, next.data, options)
        if (written === 'unknown') throw new UnknownScopeError()
        if (written === 'full') throw new StateFullError(place.key, options?.maxBytes ?? 0)
        return written === 'conflict' ? written : next
      })
      if ('error' in outcome) throw outcome.error
      return outcome.value
    },
  })
}

/** The state of a session in one of its calls: every change is a step, whose record and the change are one operation of the store. */
export function stateInCall(store: ContextStore, scope: string, steps: Steps): SessionState {
  return stateAt({
    read: (key) => store.readValue(scope, key),
    reading: (promise) => steps.beside(promise),
    changing: quietly,
    write: (place, name, change) =>
      steps.run(...stepOf(place, name), (step) =>
        untilApplied(place.key, async () => {
          const next = await attemptChange(place, (value) => steps.within(step, change, value))
          // What a stopped change throws says nothing of the step: the next node makes it again.
          steps.lifetime.throwIfAborted()
          if ('error' in next) return next
          const effect = { key: place.key, expected: next.version, data: next.data }
          return (await steps.apply(step, next, effect)) ? 'ended' : 'conflict'
        }),
      ),
  })
}

/** The name of a step is one line; a key need not be. */
function stepOf({ key, check }: Place, name: string | undefined): [name: string, spec: StepSpec] {
  const spec = { kind: 'state', check } as const
  if (name === undefined && key.includes('\n')) return ['state', { ...spec, key }]
  return [name ?? `state ${key}`, spec]
}
