import { expect, test, vi } from 'vitest'
import { DurableError, MisconfiguredError, NotJsonError, StoreError } from '../src/errors.js'

// A store may bring a copy of this package of its own: Plug'n'Play of Yarn gives it one. tests/packing installs it so.

test('an error of a store is known although the store has another copy of the package', async () => {
  vi.resetModules()
  const copy = await import('../src/errors.js')
  expect(copy.StoreError).not.toBe(StoreError)
  const away = new copy.StoreError('store-unavailable', 'away')
  expect(away).toBeInstanceOf(StoreError)
  expect(away).toBeInstanceOf(DurableError)
  expect(new StoreError('store-failed', 'full')).toBeInstanceOf(copy.StoreError)
})

test('errors of other kinds are none of a store', () => {
  for (const other of [new MisconfiguredError(''), new Error(''), { code: 'store-failed' }, undefined])
    expect(other).not.toBeInstanceOf(StoreError)
  expect(new NotJsonError('')).toBeInstanceOf(DurableError)
  expect(new NotJsonError('')).not.toBeInstanceOf(MisconfiguredError)
  expect(new Error('')).not.toBeInstanceOf(DurableError)
})
