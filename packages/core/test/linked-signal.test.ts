import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { linkedTo, linkedWithin } from '../src/linked-signal.js'
import { within } from './support/within.js'

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

test('it fires when it is told to', () => {
  const { signal, abort } = linkedTo(new AbortController().signal)
  abort('why')
  expect(signal.reason).toBe('why')
})

test('within a time it fires with the first of its signals', () => {
  const controller = new AbortController()
  const signal = linkedWithin(60_000, controller.signal)
  controller.abort('why')
  expect(signal.reason).toBe('why')
})

test('its time comes though memory is tidied up meanwhile', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const collecting = setInterval(collect, 10)
  try {
    const signal = linkedWithin(200, new AbortController().signal)
    await within(once(signal, 'abort'), 'the time')
    expect(signal.reason).toHaveProperty('name', 'TimeoutError')
  } finally {
    clearInterval(collecting)
  }
})
