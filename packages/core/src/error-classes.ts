// Every error that an application or a handler can meet; their codes, and what to do, are in docs/errors.md
export {
  BacklogError,
  DurableError,
  MisconfiguredError,
  NodeLeavingError,
  NotJsonError,
  RecordRefusedError,
  RecordTooLargeError,
  SealError,
  StoreError,
  UnrecordableError,
} from './errors.js'
export type { StoreErrorCode } from './errors.js'

// In durable handlers
export {
  AtMostOnceFailedBeforeCompleting,
  CallStoppedError,
  ClientCapabilityError,
  TasksNeededError,
  DivergenceError,
  DuplicateStepError,
  HandleLimitError,
  MapChangedTwiceError,
  NestedStepError,
  NoContextError,
  NoPrincipalError,
  QuestionRefusedError,
  RecordedError,
  ReplayDivergedError,
  StateConflictError,
  StateFullError,
  StateValueError,
  StepError,
  StepTimeoutError,
  StepValueError,
  UnknownHandleError,
  UnknownScopeError,
} from './context/errors.js'

// Of calls, sessions, runs and event stores
export { JournalClosedError, JournalLostError } from './call/journal.js'
export {
  NobodyToAskError,
  OtherServerError,
  ServersBusyError,
  ServerClosedError,
  ServerSilentError,
  ServerUnknownError,
  SessionGoneError,
} from './session/session-errors.js'
export { RunRefusedError } from './runs/errors.js'
export { UnknownEventError } from './adapters/event-store.js'
