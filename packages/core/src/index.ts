// The middleware
export { durable } from './durable.js'
export type { Durable, Notification } from './durable.js'
export type { CommonOptions, DurableOptions, Served } from './options.js'
export type { AuthInfo } from './auth-info.js'
export type { FetchHandler } from './proxy/local-backend.js'
export type { StdioServer } from './proxy/stdio/stdio-process.js'
export type { ServerFactory, SessionInfo } from './session/server-factory.js'
export type { RecoveredCall } from './session/recovery.js'
export type { Events, Hooks } from './signals/events.js'
export type { Logger } from './logger.js'
export { sessionIdOf } from './ids.js'

// A store of this process; for one that outlives it see `@mcp-durable/redis-store`
export { memoryStore } from './store/memory.js'
export type { Store } from './store/store.js'

// Any of them, with what is in it sealed
export { sealedStore } from './seal/sealed-store.js'
export type { SealOptions } from './seal/seals.js'
export type { SealKey } from './seal/keys.js'

// Durable handlers
export { durablePrompt, durableResource, durableTool } from './context/durable-handlers.js'
export { taskTools } from './context/task-tools.js'
export type { TaskToolsOptions } from './context/task-tools.js'
export type { TaskMode } from './context/durable-handlers.js'
export { durableContext } from './context/run-context.js'
export type { DurableContext } from './context/context.js'
export { uuid7, uuid7Floor } from './context/uuid7.js'

// What they keep beyond a call
export { sessionState } from './context/session-state.js'
export { principalState } from './context/principal-state.js'
export type { SessionState } from './context/state-value.js'
export { sortedMap } from './context/sorted-map.js'
export type { MapEntry, SortedMap } from './context/sorted-map.js'

// All others: `@mcp-durable/core/errors`
export { DurableError } from './errors.js'
