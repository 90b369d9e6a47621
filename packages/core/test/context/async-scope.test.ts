import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { currentScope, followScopes, runInScope } from '../../src/context/async-scope.js'

test('a scope reaches what its code waits for as long as anybody follows scopes, and when somebody does again', async () => {
  const run = { name: 'a run' }
  const seen = async () => {
    await sleep(1)
    return currentScope().run
  }
  const [unfollow, unfollowOther] = [followScopes(), followScopes()]
  expect(runInScope({ run }, () => currentScope().run)).toBe(run)
  expect(await runInScope({ run }, seen)).toBe(run)

  const underWay = runInScope({ run }, seen)
  unfollow()
  unfollow()
  expect(await underWay).toBe(run)

  unfollowOther()
  expect(currentScope()).toEqual({})

  const unfollowAgain = followScopes()
  expect(await runInScope({ run }, seen)).toBe(run)
  unfollowAgain()
})
