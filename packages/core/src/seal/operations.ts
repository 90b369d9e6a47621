import type { Store } from '../store/store.js'

/** The operations of a store that neither take nor answer what clients, tools and users put into it. */
type Plain =
  | 'open'
  | 'replaceInMap'
  | 'admit'
  | 'keepAlive'
  | 'deleteSession'
  | 'listSessions'
  | 'expect'
  | 'dropLog'
  | 'saveDelivered'
  | 'findCalls'
  | 'publish'
  | 'findRisks'
  | 'requireDurability'
  | 'close'
  | 'beginScope'
  | 'useScope'
  | 'forget'
  | 'listOpenCalls'
  | 'beat'
  | 'listNodes'
  | 'leave'
  | 'declareDead'
  | 'removeNode'
  | 'hold'
  | 'release'
  | 'heldScopes'
  | 'isWatched'
  | 'setDue'
  | 'takeDue'
  | 'removeDue'
  | 'takePlaces'
  | 'releasePlaces'
  | 'touchPlaces'
  | 'oldPlaces'
  | 'nextTurns'
  | 'turnOf'
  | 'waitedFor'
  | 'leaveQueue'

/** Those that give a store something to keep. */
export type WritingOperations = Pick<
  Store,
  | 'createSession'
  | 'putState'
  | 'append'
  | 'openCall'
  | 'appendCall'
  | 'appendQuietly'
  | 'claimCall'
  | 'writeValue'
  | 'changeMap'
>

/** All others: a new operation of `Store` must be named above, or it is missed where these are written. */
export type ReadingOperations = Omit<Store, Plain | keyof WritingOperations>
