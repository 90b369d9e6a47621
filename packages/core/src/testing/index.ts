// For authors of tools: what a tool does whose process ends at any moment
export { assertCrashSafe, crashTest } from './crash-test.js'
export type { CrashOptions, CrashReport, Effect, Fault, FaultKind } from './crash-test.js'

// What changed code does with the journal of a call that older code has begun
export { replayCall } from './replay-call.js'
export type { ReplayOptions, ReplayReport } from './replay-call.js'
export { parseRecordedCall } from './replay/recorded-call.js'
export type { RecordedCall, RecordedValue } from './replay/recorded-call.js'
export type { Misfit, ReplayedStep, ReplayEnd, ReplayProblem } from './replay/judge.js'
