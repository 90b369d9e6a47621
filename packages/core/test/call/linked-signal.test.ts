import { expect, test } from 'vitest'
import { linkedTo } from '../../src/call/linked-signal.js'

test('it fires with the first of its signals, and with one that has fired', () => {
  const [first, second] = [new AbortController(), new AbortController()]
  const { signal } = linkedTo(first.signal, second.signal)
  second.abort(new Error('why'))
  expect(signal.reason).toEqual(new Error('why'))
  expect(linkedTo(first.signal, second.signal).signal.aborted).toBe(true)
})

test('it does not fire after it is unlinked', () => {
  const controller = new AbortController()
  const { signal, unlink } = linkedTo(controller.signal)
  unlink()
  controller.abort()
  expect(signal.aborted).toBe(false)
})
