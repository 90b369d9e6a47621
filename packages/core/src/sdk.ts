// For servers that keep the transport of the SDK
export { eventStore } from './adapters/event-store.js'
export type { EventStoreOptions, SessionEventStore } from './adapters/event-store.js'
// For servers that are served by `createMcpHandler` of the SDK 2.x
export { serverEventBus } from './adapters/server-event-bus.js'
export type { ServerChange, ServerEventBusOptions, StoredEventBus } from './adapters/server-event-bus.js'
export { memoryStore } from './store/memory.js'

// What is needed of a server object, of either major of the SDK
export type { ServerFactory, ServerObject, SessionInfo } from './session/server-factory.js'
