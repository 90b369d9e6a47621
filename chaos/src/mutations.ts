import { BEGINNING, compareIds } from '@mcp-durable/core/store'
import type { Store } from '@mcp-durable/core'
import type { Entry, LogName } from '@mcp-durable/core/store'

/** What the proof must notice when it is taken out of the store; what of the code, `mutants.ts` has. */
export const mutations = ['fence', 'start-mark', 'suppression'] as const
export type Mutation = (typeof mutations)[number]

/** Named by the environment of a node. */
export const isMutation = (name: string | undefined): name is Mutation =>
  mutations.some((mutation) => mutation === name)

/** The same store without one of the things that the guarantees rest on. For the test of the tests. */
export function mutatedStore(store: Store, mutation: Mutation): Store {
  switch (mutation) {
    case 'fence':
      return override(store, withoutFence(store))
    case 'start-mark':
      return override(store, withoutStartMark(store))
    case 'suppression':
      return override(store, withoutSuppression(store))
  }
}

/** An append that the journal refuses is made again behind whatever stands there. */
function withoutFence(store: Store): Partial<Store> {
  const appendCall: Store['appendCall'] = async (scope, callId, entries, close, effect) => {
    for (;;) {
      const last = await lastId(store, scope, `call:${callId}`)
      const outcome = await store.appendCall(scope, callId, behind(last, entries), close, effect)
      if (outcome !== 'fenced') return outcome
    }
  }
  return {
    ...appendingBy(appendCall),
    /** Nor does the owner hear that another one appends. */
    watch: (scope, listener) =>
      store.watch(scope, (topic, value) => {
        const isJournal = topic.startsWith('call:') && !topic.endsWith(':in')
        listener(isJournal ? 'resync' : topic, isJournal ? '' : value)
      }),
  }
}

/** Says that the start of a step is recorded, and records it together with whatever comes next. */
function withoutStartMark(store: Store): Partial<Store> {
  const late = new Map<string, Entry[]>()
  return appendingBy(async (scope, callId, entries, close, effect) => {
    const held = [...(late.get(callId) ?? []), ...entries]
    late.set(callId, held)
    if (entries.every(({ data }) => isStart(data))) return 'appended'
    late.delete(callId)
    return store.appendCall(scope, callId, held, close, effect)
  })
}

/** What is appended to journals, whichever way. */
function appendingBy(appendCall: Store['appendCall']) {
  const appendQuietly: Store['appendQuietly'] = async (scope, callId, entries) =>
    appendCall(scope, callId, entries) as Promise<'appended' | 'fenced' | 'gone'>
  return { appendCall, appendQuietly }
}

/** The node that takes over does not see what the earlier ones have sent. Readers for clients, who begin later, do. */
function withoutSuppression(store: Store): Partial<Store> {
  return {
    async read(scope, log, after, limit) {
      const entries = await store.read(scope, log, after, limit)
      const isHistory = after === BEGINNING && limit > 1 && log.startsWith('call:') && !log.endsWith(':in')
      return isHistory ? entries?.filter(({ data }) => !data.startsWith('message')) : entries
    },
  }
}

const isStart = (data: string) => data.startsWith('step ') && data.includes('"phase":"started"')

function behind(last: string, entries: readonly Entry[]): Entry[] {
  const [first] = entries
  if (!first || compareIds(first.id, last) > 0) return [...entries]
  const [epoch, seq] = last.split('-').map(Number)
  return entries.map(({ data }, index) => ({ id: `${epoch}-${seq! + 1 + index}`, data }))
}

async function lastId(store: Store, scope: string, log: LogName): Promise<string> {
  let last = BEGINNING
  for (;;) {
    const page = (await store.read(scope, log, last, 256)) ?? []
    last = page.at(-1)?.id ?? last
    if (page.length < 256) return last
  }
}

function override(store: Store, methods: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const own = Reflect.get(methods, name) as unknown
      if (own !== undefined) return own
      const method = Reflect.get(target, name, target) as (...args: unknown[]) => unknown
      return method.bind(target)
    },
  })
}
