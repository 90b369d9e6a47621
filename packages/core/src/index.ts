// The middleware
export { durable } from './durable.js'
export type { Durable, Notification } from './durable.js'
export { sessionIdOf } from './ids.js'
export type { Health, HealthOptions } from './health.js'
export type { AuthInfo } from './auth-info.js'
export type { CommonOptions, DurableOptions, Served } from './options.js'
export type { FetchHandler } from './proxy/local-backend.js'
export type { HistoryOptions } from './history-options.js'
export type { Settings } from './settings.js'
export type { FetchOptions } from './http/exchange.js'
export type { ServerFactory, ServerObject, SessionInfo } from './session/server-factory.js'
export type { Logger } from './logger.js'

// What happens, for those who want to know
export type {
  CallOutcome,
  Events,
  Hooks,
  Run,
  StepOutcome,
  Stream,
  TakeoverOutcome,
} from './signals/events.js'
export type { Telemetry } from './signals/telemetry.js'

// Stores
export { memoryStore } from './store/memory.js'
export { BEGINNING, compareIds, OLDEST } from './store/store.js'
export type * from './store/store.js'
export type * from './store/membership.js'
export type * from './store/takeover.js'
export type * from './store/history.js'
export type * from './store/context-store.js'

// For servers that keep the SDK's transport
export { eventStore, UnknownEventError } from './adapters/event-store.js'
export type { EventStoreOptions, SessionEventStore } from './adapters/event-store.js'

// Durable handlers
export { durablePrompt, durableResource, durableTool } from './context/durable-handlers.js'
export type { HandlerExtra, NoArgs } from './context/durable-handlers.js'
export { durableContext } from './context/run-context.js'
export type { DurableContext } from './context/context.js'
export type {
  Backoff,
  ErrorMatcher,
  StepBody,
  StepKey,
  StepOptions,
  StepRun,
} from './context/step-options.js'
export type { ErrorClass } from './context/error-codec.js'
export type {
  ElicitOptions,
  ElicitParams,
  QuestionOptions,
  RequestedSchema,
  SampleParams,
} from './context/questions.js'
export type { ElicitContent, ElicitResult, Root, SamplingBlock, SamplingResult } from './context/answers.js'
export type { ContextNotification, LogLevel } from './context/notifications.js'
export type { InferInput, InferOutput, StandardSchema } from './context/standard-schema.js'
export type { RecoveredCall, RecoveredTool } from './session/recovery.js'
export type { HandlerKind } from './call/record.js'

// Durable storage
export { sessionState } from './context/session-state.js'
export type { ChangeOptions, SessionState } from './context/session-state.js'
export { sortedMap } from './context/sorted-map.js'
export type { MapEntries, MapEntry, RangeOptions, RecordLimit, SortedMap } from './context/sorted-map.js'
export { uuid7, uuid7Floor } from './context/uuid7.js'

// Errors
export {
  BacklogError,
  DurableError,
  NodeLeavingError,
  NotJsonError,
  RecordRefusedError,
  RecordTooLargeError,
  StoreError,
  UnrecordableError,
} from './errors.js'
export type { StoreErrorCode } from './errors.js'
export {
  AtMostOnceFailedBeforeCompleting,
  CallStoppedError,
  ClientCapabilityError,
  DuplicateStepError,
  MapChangedTwiceError,
  NestedStepError,
  NoContextError,
  QuestionRefusedError,
  RecordedError,
  ReplayDivergedError,
  StateConflictError,
  StateValueError,
  StepError,
  StepChangedError,
  StepTimeoutError,
  StepValueError,
  UnknownScopeError,
} from './context/errors.js'
