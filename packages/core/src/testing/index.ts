// For authors of tools: what a tool does whose process ends at any moment
export { assertCrashSafe, crashTest } from './crash-test.js'
export type { CrashOptions, CrashReport, Effect, Fault, FaultKind } from './crash-test.js'
