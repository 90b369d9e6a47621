// For helpers of durable handlers: the types of what `DurableContext` takes and returns
export type { DurableContext } from './context.js'
export type { HandlerExtra, NoArgs } from './durable-handlers.js'
export type { Durability } from '../store/durability.js'
export type { ErrorMatcher } from './error-matchers.js'
export type { Backoff, StepBody, StepKey, StepOptions, StepRun } from './step-options.js'
export type { ErrorClass } from './error-codec.js'
export type {
  ElicitOptions,
  ElicitParams,
  QuestionOptions,
  RequestedSchema,
  SampleParams,
} from './questions.js'
export type { ElicitContent, ElicitResult, Root, SamplingBlock, SamplingResult } from './answers.js'
export type { ContextNotification } from './notifications.js'
export type { LogLevel } from '../protocol.js'
export type { InferInput, InferOutput, StandardSchema } from './standard-schema.js'
export type { ChangeOptions, SessionState } from './state-value.js'
export type { Handle, HandleOptions } from './handles.js'
export type { MapEntries, MapEntry, RangeOptions, RecordLimit, SortedMap } from './sorted-map.js'
