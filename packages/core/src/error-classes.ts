// Every error that an application or a handler can meet; their codes, and what to do, are in docs/errors.md
export {
  BacklogError,
  DurableError,
  MisconfiguredError,
  NodeLeavingError,
  NotJsonError,
  RecordRefusedError,
  RecordTooLargeError,
  StoreError,
  UnrecordableError,
} from './errors.js'
export type { StoreErrorCode } from './errors.js'

// In durable handlers
export {
  AtMostOnceFailedBeforeCompleting,
  CallStoppedError,
  ClientCapabilityError,
  DuplicateStepError,
  MapChangedTwiceError,
  NestedStepError,
  NoContextError,
  NoSessionError,
  QuestionRefusedError,
  RecordedError,
  ReplayDivergedError,
  StateConflictError,
  StateValueError,
  StepChangedError,
  StepError,
  StepTimeoutError,
  StepValueError,
  UnknownScopeError,
} from './context/errors.js'

// Of calls, sessions and event stores
export { JournalClosedError, JournalLostError } from './call/journal.js'
export {
  NobodyToAskError,
  OtherServerError,
  ServersBusyError,
  ServerUnknownError,
  SessionGoneError,
} from './session/session-errors.js'
export { UnknownEventError } from './adapters/event-store.js'
