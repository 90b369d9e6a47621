import assert from 'node:assert/strict'
import { runClient, type Stage } from '../examples/run-client.js'

const good = '4000 0000 0000 0077'
const declined = '4000 0000 0000 0002'

await runClient('processing', async (stage) => {
  await stage.scene('a payment', async () => {
    const { status, receipt } = await pay(stage, 'plain')
    assert.equal(status, 'charged')
    assert.deepEqual(await stage.done('plain'), ['charge done', 'mail done'])
    return `charged once: ${receipt}`
  })

  await stage.scene('network errors', async () => {
    await stage.trouble('charge', 'busy', 'busy', 'busy')
    assert.equal((await pay(stage, 'busy')).status, 'charged')
    assert.equal(await stage.turnedAway('busy'), 3)
    assert.deepEqual(await stage.done('busy'), ['charge done', 'mail done'])
    return 'nothing was charged three times, then once'
  })

  await stage.scene('a bank that stays away', async () => {
    await stage.trouble('charge', 'busy', 'busy', 'busy', 'busy')
    assert.equal((await pay(stage, 'away')).status, 'unavailable')
    assert.equal(await stage.turnedAway('away'), 4)
    assert.deepEqual(await stage.done('away'), ['mail done'])
    return 'given up after four attempts, nothing charged'
  })

  await stage.scene('a rejected payment', async () => {
    assert.equal((await pay(stage, 'declined', declined)).status, 'rejected')
    assert.deepEqual(await stage.done('declined'), ['charge refused', 'mail done'])
    return 'asked once, not charged'
  })

  await stage.scene('a node dies when the card is charged', async () => {
    await stage.trouble('charge', 'kill-after')
    assert.equal((await pay(stage, 'dead')).status, 'unknown')
    assert.deepEqual(await stage.done('dead'), ['charge done', 'mail done'])
    assert.equal(await stage.nodes('dead'), 2)
    return 'another one says that it does not know; charged once'
  })

  await stage.scene('a node dies before the card is charged', async () => {
    await stage.trouble('charge', 'kill-before')
    assert.equal((await pay(stage, 'unborn')).status, 'unknown')
    assert.deepEqual(await stage.done('unborn'), ['charge lost', 'mail done'])
    return 'the same: it cannot know; not charged'
  })

  await stage.scene('a node dies after a rejection', async () => {
    await stage.trouble('mail', 'kill-before')
    assert.equal((await pay(stage, 'sorry', declined)).status, 'rejected')
    assert.deepEqual(await stage.done('sorry'), ['charge refused', 'mail lost', 'mail done'])
    return 'still a rejection on the other one, not asked again'
  })
})

function pay(stage: Stage, order: string, card = good): Promise<{ status: string; receipt?: string }> {
  return stage.call('pay', { order: stage.named(order), card, amount: 42 })
}
