import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FakeLog } from './support/fake-log.js'
import { follow, perform, Sink, step, turn } from './support/tail-steps.js'
import { BEGINNING } from '../src/store/index.js'
import type { Store } from '../src/index.js'
import { Tail } from '../src/store/tail.js'

describe('a tail', () => {
  test('gives every entry once and in order, whatever the order of appends, reads and wake-ups', async () => {
    const property = fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.nat(100),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      async (steps, before, caughtUp, isOwn, slow, eager) => {
        const log = new FakeLog()
        if (before > 0) log.appendElsewhere(before)
        const after = caughtUp ? log.last : BEGINNING
        const start = caughtUp ? before : 0
        const { sink, tail } = follow(log, { after, caughtUp, isOwn })
        if (slow) sink.room = 1
        if (eager) {
          sink.onTaken = () => {
            if (sink.room > 1) tail.resume()
          }
        }
        const expectPrefix = () => {
          const expected = log.entries.slice(start, start + sink.taken.length).map(({ id }) => id)
          expect(sink.taken).toEqual(expected)
        }
        for (const { kind, count } of steps) {
          await perform(kind, count, { log, sink, tail })
          expectPrefix()
        }
        // In the end the store answers, and the next reconciliation finds what a lost wake-up has hidden.
        sink.room = Infinity
        log.activate()
        await turn()
        for (let round = 0; sink.taken.length < log.entries.length - start && round < 200; round++) {
          if (log.reading === 0) log.watcher.reconcile()
          tail.resume()
          log.finishRead()
          await turn()
        }
        expectPrefix()
        expect(sink.taken).toHaveLength(log.entries.length - start)
        expect([sink.over, sink.unwanted]).toEqual([[], 0])
        tail.end()
      },
    )
    await fc.assert(property, { numRuns: 1500, seed: 20_251_125 })
  })

  test('without lost wake-ups nothing waits for a reconciliation', async () => {
    const healthy = step.filter(({ kind }) => !['drop', 'fail', 'reconcile'].includes(kind))
    const property = fc.asyncProperty(fc.array(healthy, { maxLength: 30 }), async (steps) => {
      const log = new FakeLog()
      const { sink, tail } = follow(log)
      for (const { kind, count } of steps) await perform(kind, count, { log, sink, tail })
      const settle = async () => {
        for (let round = 0; round < 100; round++) {
          await turn()
          log.finishRead()
          log.wake()
        }
      }
      log.activate()
      await settle()
      sink.room = Infinity
      tail.resume()
      await settle()
      expect(sink.taken).toEqual(log.entries.map(({ id }) => id))
      tail.end()
    })
    await fc.assert(property, { numRuns: 500, seed: 20_251_125 })
  })

  test('does not read while its sink wants nothing', async () => {
    const log = new FakeLog()
    log.appendElsewhere(1000)
    const { sink, tail } = follow(log)
    sink.room = 10
    log.finishRead()
    await turn()
    expect([sink.taken.length, log.reading]).toEqual([10, 0])
    log.activate()
    log.watcher.reconcile()
    await turn()
    expect(log.reading).toBe(0)
    sink.room = 5
    tail.resume()
    expect(log.reading).toBe(1)
    log.finishRead()
    await turn()
    expect(sink.taken.length).toBe(15)
    tail.end()
  })

  test('reads no more than its sink takes at once, as far as it knows that', async () => {
    const log = new FakeLog()
    log.appendElsewhere(4001)
    const limits: number[] = []
    const read: Store['read'] = (scope, name, after, limit) => {
      limits.push(limit)
      return log.store.read(scope, name, after, limit)
    }
    const store = { ...log.store, read }
    const sink = new Sink()
    const tail = new Tail(store, log.watcher, { scope: log.scope, log: log.log, after: BEGINNING }, sink.sink)
    while (sink.taken.length < 2000) {
      sink.room = 200
      tail.resume()
      while (sink.room > 0) {
        log.finishRead()
        await turn()
      }
    }
    expect(sink.taken).toHaveLength(2000)
    expect(limits.slice(-5)).toEqual([200, 200, 200, 200, 200])
    tail.end()
  })

  test('knows that nothing is there yet: no read until something comes', async () => {
    const log = new FakeLog()
    const { tail: first } = follow(log)
    log.finishRead()
    log.activate()
    await turn()
    log.finishRead()
    await turn()
    const { sink, tail } = follow(log, { caughtUp: true })
    await turn()
    expect(log.reading).toBe(0)
    log.appendHere(2)
    expect(sink.taken).toEqual(['1-1', '1-2'])
    expect(log.reading).toBe(0)
    for (const each of [first, tail]) each.end()
  })

  test('what only this node writes is not read again once the subscription stands', async () => {
    const log = new FakeLog()
    const { sink, tail } = follow(log, { caughtUp: true, isOwn: true })
    log.appendHere(1)
    log.activate()
    await turn()
    expect([log.reading, sink.taken.length]).toEqual([0, 1])
    log.appendElsewhere(1)
    log.watcher.reconcile()
    log.finishRead()
    await turn()
    expect(sink.taken.length).toBe(2)
    tail.end()
  })

  test('a reader that asks for more in the middle of what this node appends gets it once', async () => {
    const log = new FakeLog()
    const { sink, tail } = follow(log, { caughtUp: true })
    sink.onTaken = () => tail.resume()
    log.activate()
    await turn()
    log.failRead()
    await turn()
    log.appendHere(3)
    log.finishRead()
    await turn()
    expect(sink.taken).toEqual(['1-1', '1-2', '1-3'])
    tail.end()
  })

  test('gives nothing more once it has ended, also of a read that is under way', async () => {
    const log = new FakeLog()
    log.appendElsewhere(3)
    const { sink, tail } = follow(log)
    tail.end()
    log.finishRead()
    log.activate()
    await turn()
    log.appendHere(1)
    expect(sink.taken).toEqual([])
    tail.end()
  })

  test('says when entries are lost', async () => {
    const log = new FakeLog()
    const lost = { ...log.store, read: async () => undefined }
    const sink = new Sink()
    const tail = new Tail(lost, log.watcher, { scope: log.scope, log: log.log, after: '1-1' }, sink.sink)
    log.activate()
    await turn()
    expect(sink.over[0]).toBe('lost')
    tail.end()
  })

  test('says when its scope is deleted', async () => {
    const log = new FakeLog()
    const { sink, tail } = follow(log)
    log.activate()
    await turn()
    log.deleteScope()
    expect(sink.over).toEqual(['deleted'])
    tail.end()
  })
})
