import { describe, expect, test } from 'vitest'
import { SDKS, startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'
import { HOSTS } from '../support/wrapped.js'
import type { Store } from '../../src/index.js'
import { waitFor } from '../../../../test-support/index.js'

/** Counts the watches of each scope that stand. */
function counting(store: Store, standing: Map<string, number>): Store {
  const count = (scope: string, by: number) => standing.set(scope, (standing.get(scope) ?? 0) + by)
  return new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      if (name !== 'watch') return (...args: unknown[]): unknown => Reflect.apply(member, target, args)
      return async (...[scope, listener]: Parameters<Store['watch']>) => {
        const unwatch = await target.watch(scope, listener)
        count(scope, 1)
        return () => {
          count(scope, -1)
          unwatch()
        }
      }
    },
  })
}

const CASES = HOSTS.flatMap((host) => SDKS.map((sdk) => ({ host, sdk })))

describe.each(CASES)('what is left when nobody is there any more, $host, server $sdk', ({ host, sdk }) => {
  test('no watch of a session, so no server object and no stream, and no open call', async () => {
    const standing = new Map<string, number>()
    await using nodes = await startNodes({
      sdk,
      host,
      adapter: 'node',
      wrap: (store) => counting(store, standing),
      settings: { serverIdleMs: 50 },
    })
    const sessions = await Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        const session = await Session.begin(nodes, { node: n % 2 })
        await using stream = await session.stream(undefined, { node: (n + 1) % 2 })
        await session.result('echo', { text: '' }, { node: (n + 1) % 2 })
        await stream.next()
        await using dropped = await session.call('wait', { gate: `g${n}` }, { id: 'waiting' })
        await dropped.next()
        await nodes.world.happened.until(`started g${n}`)
        return session
      }),
    )
    const watches = () => sessions.reduce((sum, { id }) => sum + (standing.get(id) ?? 0), 0)
    expect(watches()).toBeGreaterThan(0)
    for (const [n, session] of sessions.entries()) {
      if (n % 3 === 0) await session.delete()
      else if (n % 3 === 1) nodes.world.gates.open(`g${n}`)
      else await session.notify('notifications/cancelled', { requestId: 'waiting' }, { node: 1 })
    }
    await waitFor(() => watches() === 0)
    // Sessions of a handler go with their server objects, those of an upstream with ours.
    const left = host === 'upstream' ? sessions.length - 3 : 0
    await waitFor(() => nodes.wrapped.reduce((sum, wrapped) => sum + wrapped.sessions.size, 0) === left)
    for (const session of sessions) expect(await nodes.stores[0]!.findCalls(session.id, '')).toEqual([])
  })
})
