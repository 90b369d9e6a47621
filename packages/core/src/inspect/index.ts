// For tools that look into a store: what it shows, and what logs and sessions hold, decoded. The shapes follow the library's version.
export type {
  CallsInspection,
  InspectedCall,
  InspectedNode,
  InspectedSession,
  Inspection,
  LogsInspection,
  MapPage,
  MapsInspection,
  NodesInspection,
  SessionsInspection,
  TimedState,
} from './inspection.js'
export { CallLog } from './call-log.js'
export { partingOf } from '../context/divergence.js'
export { reseal } from '../seal/reseal.js'
export type { Resealed } from '../seal/reseal.js'
export { openedInspection } from '../seal/opened-inspection.js'
export { describeSealed } from '../seal/describe-sealed.js'
export { sealOf } from '../seal/sealed-text.js'
export { sealKeyIds } from '../seal/keys.js'
export { isAlive, listCalls, RUN_STATUSES, runStatusOf } from './listed-calls.js'
export type { CallReader, ListedCall, RunStatus, WantedCalls } from './listed-calls.js'
export type { CallPlace } from '../session/place.js'
export { CallTimeline } from './timeline.js'
export type { AskedQuestion, Attempt, CallStatus, StepSummary, TimedEntry } from './timeline.js'
export type { CallEvent, MadeOf, RequestSummary, StepName } from './call-event.js'
export { describeSession, SESSION_STATE_KEYS } from './session-description.js'
export type { SessionDescription } from './session-description.js'
export { decodeMessage, titleOf } from './messages.js'
export { decodeStored, decodeStoredBytes } from './stored-values.js'
export { decodeAbout } from '../call/about-node.js'
export type { AboutNode } from '../call/about-node.js'
export { sessionIdOf } from '../ids.js'
export { isSessionless } from '../protocol.js'
export { scopeOfPrincipal } from '../context/scope-state.js'
export { channelOf } from '../call/node-channels.js'
export { escapeControls } from '../escape-controls.js'
