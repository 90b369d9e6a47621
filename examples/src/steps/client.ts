import assert from 'node:assert/strict'
import { runClient, type Stage } from '../examples/run-client.js'

interface Fulfilled {
  shelf: string
  tracking: string
  sent: string
}

await runClient('steps', async (stage) => {
  await stage.scene('three steps, one after the other', async () => {
    await fulfil(stage, 'plain')
    assert.deepEqual(await stage.done('plain'), ['reserve done', 'book done', 'notify done'])
    return 'each was done once'
  })

  await stage.scene('the warehouse is busy', async () => {
    await stage.trouble('reserve', 'busy', 'busy', 'busy')
    await fulfil(stage, 'busy')
    assert.equal(await stage.turnedAway('busy'), 3)
    assert.deepEqual(await stage.done('busy'), ['reserve done', 'book done', 'notify done'])
    return 'turned away three times, reserved at the fourth'
  })

  await stage.scene('a node dies before the last step', async () => {
    await stage.trouble('notify', 'kill-before')
    await fulfil(stage, 'early')
    assert.deepEqual(await stage.done('early'), ['reserve done', 'book done', 'notify lost', 'notify done'])
    assert.equal(await stage.nodes('early'), 2)
    return 'another one did that step, and only that'
  })

  await stage.scene('a node dies when a step is done', async () => {
    await stage.trouble('book', 'kill-after')
    await fulfil(stage, 'late')
    assert.deepEqual(await stage.done('late'), ['reserve done', 'book done', 'book repeated', 'notify done'])
    assert.equal(await stage.nodes('late'), 2)
    return 'asked again with the same key: still one booking'
  })

  await stage.scene('and in every step', async () => {
    for (const action of ['reserve', 'book', 'notify']) await stage.trouble(action, 'kill-before')
    await fulfil(stage, 'often')
    const done = (await stage.done('often')).filter((act) => act.endsWith('done'))
    assert.deepEqual(done, ['reserve done', 'book done', 'notify done'])
    return 'four nodes for one call, each step done once'
  })
})

/** Calls the tool; its progress must come in order, and once, from however many nodes. */
async function fulfil(stage: Stage, order: string): Promise<void> {
  const progress: number[] = []
  const onprogress = (at: { progress: number }): void => void progress.push(at.progress)
  const result = await stage.call<Fulfilled>('fulfil_order', { order: stage.named(order) }, { onprogress })
  assert.deepEqual(progress, [1, 2, 3])
  // What later steps were given is what earlier ones said, also after a death.
  assert.ok(result.tracking.startsWith(`${result.shelf}-`))
  assert.equal(result.sent, `your parcel is ${result.tracking}`)
}
