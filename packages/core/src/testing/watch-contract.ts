import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { begin, contents, waitFor, HOUR, listen, once, open, useStores } from './stores.js'
import { BEGINNING } from '../store/store.js'
import type { WatchListener } from '../store/store.js'
import type { CreateStores } from './stores.js'

export function watchContract(create: CreateStores) {
  const stores = useStores(create)

  test('a watcher hears what any node appends and publishes', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = await open(store, scope)
    const [here, there] = [await listen(store, scope), await listen(peer, scope)]
    const out = await store.append(scope, 'out', 'a', once())
    const inbox = await peer.append(scope, `${call.log}:in`, 'b', once())
    const last = `${call.epoch}-3`
    await store.appendCall(scope, call.callId, [
      { id: `${call.epoch}-2`, data: 'c' },
      { id: last, data: 'd' },
    ])
    await peer.publish(scope, 'topic', 'value with spaces\nand {more}')
    await peer.publish(scope, 'empty', '')
    for (const ears of [here, there]) {
      await ears.until('empty', '')
      // What different nodes tell may come in any order.
      expect(ears.heard).toHaveLength(5)
      expect(new Map(ears.heard)).toEqual(
        new Map([
          ['out', out],
          [`${call.log}:in`, inbox],
          [call.log, last],
          ['topic', 'value with spaces\nand {more}'],
          ['empty', ''],
        ]),
      )
    }
  })

  test('what it hears of an entry is what a reader finds', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const news: Parameters<WatchListener>[] = []
    await store.watch(scope, (...heard) => heard[0] === 'out' && news.push(heard))
    const datas = ['a', 'b c\nd', '', '\n', 'x'.repeat(100_000)]
    for (const data of datas) await peer.append(scope, 'out', data, once())
    await waitFor('all news', () => news.length === datas.length)
    const entries = await store.read(scope, 'out', BEGINNING, 100)
    expect(news.map(([topic, id]) => [topic, id])).toEqual(entries?.map(({ id }) => ['out', id]))
    for (const [, id, appended] of news) {
      if (!appended) continue
      expect(appended.entries.at(-1)?.id).toBe(id)
      expect(await store.read(scope, 'out', appended.previous, appended.entries.length)).toEqual(
        appended.entries,
      )
    }
  })

  test('a quiet entry wakes nobody, and is read with the next one that does', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = await open(store, scope)
    const [here, there] = [await listen(store, scope), await listen(peer, scope)]
    const [quiet, loud] = [`${call.epoch}-2`, `${call.epoch}-3`]
    await store.appendQuietly(scope, call.callId, [{ id: quiet, data: 'step' }])
    await store.appendCall(scope, call.callId, [{ id: loud, data: 'message' }])
    for (const ears of [here, there]) {
      await ears.until(call.log, loud)
      expect(ears.heard).toEqual([[call.log, loud]])
    }
    expect(await contents(peer, scope, call.log)).toEqual(['request', 'step', 'message'])
  })

  test('who listens alone hears the appends of its own node', async () => {
    const { store } = stores
    const scope = await begin(store)
    const call = await open(store, scope)
    const ears = await listen(store, scope)
    const [first, second] = [`${call.epoch}-2`, `${call.epoch}-3`]
    await store.appendCall(scope, call.callId, [{ id: first, data: 'a' }])
    await store.appendCall(scope, call.callId, [{ id: second, data: 'b' }])
    await ears.until(call.log, second)
    expect(ears.heard).toEqual([
      [call.log, first],
      [call.log, second],
    ])
  })

  test('what a wake-up tells of can be read', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const reads: Promise<string[] | undefined>[] = []
    await peer.watch(scope, (topic) => topic === 'out' && reads.push(contents(peer, scope, 'out')))
    for (let i = 0; i < 10; i++) await store.append(scope, 'out', String(i), once())
    await waitFor('ten wake-ups', () => reads.length === 10)
    for (const [i, read] of reads.entries()) expect((await read)?.length).toBeGreaterThan(i)
  })

  test('what was refused or repeated with nothing to show wakes nobody else', async () => {
    const { store, peer } = stores
    const [scope, other] = [await begin(store), await begin(store)]
    const [mine, theirs] = [await listen(peer, scope), await listen(peer, other)]
    await store.append(scope, 'call:c:in', 'x', { ...once(), answers: 'nothing' })
    await store.publish(other, 'theirs', '1')
    await store.publish(scope, 'mine', '1')
    await Promise.all([mine.until('mine', '1'), theirs.until('theirs', '1')])
    expect(mine.heard).toEqual([['mine', '1']])
    expect(theirs.heard).toEqual([['theirs', '1']])
  })

  test('every watch ends on its own', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const [one, two] = [await listen(peer, scope), await listen(peer, scope)]
    await store.publish(scope, 'round', '1')
    await Promise.all([one.until('round', '1'), two.until('round', '1')])
    one.unwatch()
    one.unwatch()
    await store.publish(scope, 'round', '2')
    await two.until('round', '2')
    two.unwatch()
    const three = await listen(peer, scope)
    await store.publish(scope, 'round', '3')
    await three.until('round', '3')
    expect([one, two, three].map(({ heard }) => heard.map(([, value]) => value))).toEqual([
      ['1'],
      ['1', '2'],
      ['3'],
    ])
  })

  test('one function may watch twice', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const heard: string[] = []
    // A store may tell more: that it may have missed something.
    const listener = (topic: string, value: string) => topic === 'topic' && heard.push(value)
    const end = await peer.watch(scope, listener)
    await peer.watch(scope, listener)
    await store.publish(scope, 'topic', '1')
    await waitFor('two calls', () => heard.length === 2)
    end()
    await store.publish(scope, 'topic', '2')
    await waitFor('one more', () => heard.length === 3)
    expect(heard).toEqual(['1', '1', '2'])
  })

  test('watching and leaving in quick turns ends up watching', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    for (let i = 0; i < 20; i++) {
      const watches = await Promise.all([listen(peer, scope), listen(peer, scope)])
      for (const { unwatch } of watches) unwatch()
      if (i % 3 === 0) await store.publish(scope, 'noise', String(i))
    }
    const leaving = listen(peer, scope).then(({ unwatch }) => unwatch())
    const ears = await listen(peer, scope)
    await leaving
    const value = randomUUID()
    await store.publish(scope, 'topic', value)
    await ears.until('topic', value)
    expect(ears.count('topic', value)).toBe(1)
  })

  test('a listener may end its watch, or another', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    let calls = 0
    const unwatch = await peer.watch(scope, () => {
      calls++
      unwatch()
    })
    const ears = await listen(peer, scope)
    await store.publish(scope, 'topic', '1')
    await store.publish(scope, 'topic', '2')
    await ears.until('topic', '2')
    expect(calls).toBe(1)
  })

  test('a scope may be watched before there is a session, and after', async () => {
    const { store, peer } = stores
    const id = randomUUID()
    const ears = await listen(peer, id)
    await begin(store, { id })
    await store.append(id, 'out', 'x', once())
    await waitFor('the append', () => ears.heard.some(([topic]) => topic === 'out'))
    await store.deleteSession(id, 'alice')
    await waitFor('the deletion', () => ears.heard.some(([topic]) => topic === 'deleted'))
    await store.publish(id, 'still', 'here')
    await ears.until('still', 'here')
    expect(ears.heard.map(([topic]) => topic)).toEqual(['out', 'deleted', 'still'])
  })

  test('many scopes at once', async () => {
    const { store, peer } = stores
    const scopes = await Promise.all(Array.from({ length: 50 }, () => begin(store)))
    const ears = await Promise.all(scopes.map((scope) => listen(peer, scope)))
    await Promise.all(scopes.map((scope) => store.publish(scope, 'for', scope)))
    await Promise.all(ears.map((ear, i) => ear.until('for', scopes[i] ?? '')))
    expect(ears.map(({ heard }) => heard.length)).toEqual(scopes.map(() => 1))
  })

  test('close ends the watches of one store, twice is fine, and the other goes on', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const [closed, other] = [await listen(store, scope), await listen(peer, scope)]
    await store.close()
    await store.close()
    await peer.publish(scope, 'topic', 'late')
    await other.until('topic', 'late')
    expect(await peer.admit(scope, 'alice', HOUR)).toBeDefined()
    if (store !== peer) expect(closed.heard).toEqual([])
  })
}
