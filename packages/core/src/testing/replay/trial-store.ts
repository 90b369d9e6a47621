import type { ContextStore } from '../../store/context-store.js'
import type { RecordedCall } from './recorded-call.js'
import { never } from './trial-log.js'

/**
 * What the code of a trial reads beside the journal: the states that came with it. Nothing is changed. `onLacking`: it reads what did not
 * come with it; that never comes.
 */
export function trialStore(states: RecordedCall['states'], onLacking: (what: string) => void): ContextStore {
  const lacking = (what: string) => {
    onLacking(what)
    return never
  }
  return {
    readValue: async (scope, key) => {
      const values = states[scope]
      if (!values) return lacking('the state of a handle')
      const found = values.find((value) => value.key === key)
      return found && { version: found.version, data: found.data }
    },
    useScope: async (scope) => (states[scope] ? true : lacking('the state of a handle')),
    readMap: (map) => lacking(`the map ${JSON.stringify(map)}`),
    rangeMap: (map) => lacking(`the map ${JSON.stringify(map)}`),
    changeMap: async () => 'repeated',
    // Of steps, which don't begin.
    writeValue: () => never,
    beginScope: () => never,
  }
}
