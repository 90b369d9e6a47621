import fc from 'fast-check'
import { BEGINNING } from '../../src/store/index.js'
import { Tail } from '../../src/store/tail.js'
import type { FakeLog } from './fake-log.js'

export const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A sink that takes what it has room for. */
export class Sink {
  readonly taken: string[] = []
  readonly over: string[] = []
  room = Infinity
  /** Entries that came although none was wanted. */
  unwanted = 0
  /** Told of every entry while it is being taken: a client that reads along asks for more at once. */
  onTaken: () => void = () => undefined

  readonly sink = {
    write: ({ id }: { id: string }) => {
      if (this.room <= 0) this.unwanted++
      this.taken.push(id)
      this.onTaken()
      return --this.room > 0
    },
    over: (reason: string) => void this.over.push(reason),
  }
}

export function follow(log: FakeLog, { after = BEGINNING, caughtUp = false, isOwn = false } = {}) {
  const sink = new Sink()
  const tail = new Tail(
    log.store,
    log.watcher,
    { scope: log.scope, log: log.log, after, caughtUp, isOwn },
    sink.sink,
  )
  return { sink, tail }
}

/** What may happen to a log and its reader, in any order. */
export const step = fc.oneof(
  fc.record({ kind: fc.constant('here' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('elsewhere' as const), count: fc.integer({ min: 1, max: 80 }) }),
  fc.record({ kind: fc.constant('room' as const), count: fc.integer({ min: 1, max: 70 }) }),
  fc.record({
    kind: fc.constantFrom('wake', 'drop', 'activate', 'finish', 'fail', 'reconcile', 'turn' as const),
    count: fc.constant(0),
  }),
)

export async function perform(
  kind: string,
  count: number,
  { log, sink, tail }: { log: FakeLog; sink: Sink; tail: Tail },
) {
  switch (kind) {
    case 'here':
      return log.appendHere(count)
    case 'elsewhere':
      return log.appendElsewhere(count)
    case 'room':
      sink.room = count
      return tail.resume()
    case 'wake':
      return log.wake()
    case 'drop':
      return log.dropWakes()
    case 'activate':
      return log.activate()
    case 'finish':
      return log.finishRead()
    case 'fail':
      return log.failRead()
    case 'reconcile':
      return log.watcher.reconcile()
    default:
      await turn()
  }
}
