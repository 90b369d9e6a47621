import { notDurable } from './durability.js'
import { MemoryCalls } from './memory-calls.js'
import { MemoryData } from './memory-data.js'
import { MemoryDueCalls } from './memory-due-calls.js'
import { MemoryLogs } from './memory-logs.js'
import { MemoryMaps } from './memory-maps.js'
import { MemoryNodes } from './memory-nodes.js'
import { MemoryQuotas } from './memory-quotas.js'
import { MemorySessions } from './memory-sessions.js'
import { MemorySpace } from './memory-space.js'
import { MemoryWakes } from './memory-wakes.js'
import type { Store, StoreOptions } from './store.js'

const SWEEP_MS = 1_000
/** A sweep looks at all that is held: the longer that takes, the longer until the next one, up to this. */
const REST = 100
const MOST_REST_MS = 60_000

/** The parts with names of their own; and the one without. */
type Named = Map<string | undefined, MemoryData>

/**
 * A store in the memory of this process. Nothing survives the process, and no other process sees it;
 * several `durable()` of one process may share it and behave as the nodes of one system.
 */
export function memoryStore(): Store {
  return openMemory(new Map(), {})
}

function openMemory(named: Named, options: StoreOptions): Store {
  const data = named.get(options.name) ?? new MemoryData()
  named.set(options.name, data)
  const space = new MemorySpace(data, options.keeping)
  const sweeper = new Sweeper(data)
  const whole: Pick<Store, 'open' | 'findRisks' | 'requireDurability' | 'close'> = {
    open: ({ name = options.name, keeping = options.keeping }) => openMemory(named, { name, keeping }),
    findRisks: async () => [],
    requireDurability: async (durability) => {
      if (durability !== 'memory') throw notDurable(durability, 'the store is the memory of this process')
    },
    // Watches go on: others in this process may share the store.
    close: async () => sweeper.close(),
  }
  return Object.assign(
    whole,
    new MemorySessions(space),
    new MemoryLogs(space),
    new MemoryCalls(space),
    new MemoryNodes(space),
    new MemoryDueCalls(space),
    new MemoryQuotas(space),
    new MemoryMaps(space),
    new MemoryWakes(space),
  )
}

/** Frees what has expired. Nobody sees it before, be it freed or not. */
class Sweeper {
  #timer: NodeJS.Timeout | undefined

  constructor(data: MemoryData) {
    const sweep = () => {
      const began = performance.now()
      data.sweep()
      wait((performance.now() - began) * REST)
    }
    const wait = (ms: number) =>
      (this.#timer = setTimeout(sweep, Math.min(Math.max(SWEEP_MS, ms), MOST_REST_MS)).unref())
    wait(0)
  }

  close() {
    clearTimeout(this.#timer)
  }
}
