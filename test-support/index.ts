// Helpers for tests with real servers and real processes. All of them listen on loopback only, and end what they
// started by its own pid.

export { findEngines } from './engines.js'
export type { Engine } from './engines.js'
export { Child } from './child.js'
export { ensureProgram } from './install.js'
export { freePort } from './ports.js'
export { waitFor, type WaitForOptions } from './wait-for.js'
export { spawnNode, type NodeProcess, type SpawnNodeOptions } from './node-process.js'
export { startRedis, type RedisOptions, type RedisServer } from './redis-server.js'
export { monitorRedis, type MonitoredCommand, type RedisMonitor } from './redis-monitor.js'
export { startRedisCluster, type RedisCluster, type RedisClusterOptions } from './redis-cluster.js'
export { startSentinel, type Sentinel } from './redis-sentinel.js'
export { Terminal, type TerminalOptions } from './terminal.js'
export { ensurePython, spawnPython } from './python.js'
export { npmInstall, packPackages, type Packed } from './packed.js'
