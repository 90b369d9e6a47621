import { expect, test } from 'vitest'
import { Watcher } from '../../src/store/watcher.js'
import { waitFor } from '../../../../test-support/index.js'
import { openStorage } from '../support/stores.js'

test('a reader that throws ends neither the process nor the others', async () => {
  await using storage = openStorage('memory')
  const store = storage.forNode()
  const errors: string[] = []
  const watcher = new Watcher(store, { error: (_details, message) => void errors.push(message) })
  const heard: string[] = []
  const broken = watcher.watch('scope', 'topic', () => {
    throw new Error('broken')
  })
  const sound = watcher.watch('scope', 'topic', ({ value }) => void heard.push(value))
  await Promise.all([broken.active, sound.active])
  await store.publish('scope', 'topic', 'one')
  await store.publish('scope', 'topic', 'two')
  await waitFor(() => heard.length === 2)
  expect(heard).toEqual(['one', 'two'])
  expect(errors).toEqual(['a reader of the store failed', 'a reader of the store failed'])
  watcher.close()
})
