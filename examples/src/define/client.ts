import assert from 'node:assert/strict'
import { runClient } from '../examples/run-client.js'

interface Terms {
  terms: string[]
}
interface Defined {
  definition: string
  replaced?: string
}

await runClient('define', async (stage) => {
  const glossary = stage.named('glossary')
  const define = (term: string, definition?: string): Promise<Defined> =>
    stage.call('define', { glossary, term, definition })
  const query = async (tool: string, args: object = {}): Promise<string[]> =>
    (await stage.call<Terms>(tool, { glossary, ...args })).terms
  const lookUp = (term: string): Promise<{ found?: Defined }> => stage.call('look_up', { glossary, term })

  await stage.scene('terms are defined', async () => {
    for (const term of ['stream', 'api gateway', 'map', 'apex', 'api'])
      await define(term, `what ${term} means`)
    assert.equal((await lookUp('map')).found?.definition, 'what map means')
    assert.deepEqual(await lookUp('unheard of'), {})
    return 'five of them'
  })

  await stage.scene('two orders', async () => {
    assert.deepEqual(await query('list'), ['apex', 'api', 'api gateway', 'map', 'stream'])
    assert.deepEqual(await query('recent', { limit: 2 }), ['api', 'apex'])
    const first = await query('list', { limit: 3 })
    assert.deepEqual(await query('list', { limit: 3, after: first.at(-1) }), ['map', 'stream'])
    return 'by alphabet, in pages, and newest first'
  })

  await stage.scene('prefix search', async () => {
    assert.deepEqual(await query('search', { prefix: 'api' }), ['api', 'api gateway'])
    assert.deepEqual(await query('search', { prefix: 'z' }), [])
    return "'api' and 'api gateway', not 'apex'"
  })

  await stage.scene('a node dies asking the dictionary', async () => {
    await stage.trouble('suggest', 'kill-after')
    const { definition } = await define('journal')
    assert.equal((await lookUp('journal')).found?.definition, definition)
    const asked = (await stage.done('glossary')).filter((act) => act.startsWith('suggest'))
    assert.deepEqual(asked, ['suggest done', 'suggest repeated'])
    return `journal: ${definition}`
  })

  await stage.scene('a node dies between the two indexes', async () => {
    await stage.trouble('announce', 'kill-after')
    const { replaced } = await define('map', 'a mapping')
    assert.equal(replaced, 'what map means')
    const recent = await query('recent')
    assert.deepEqual(recent, ['map', 'journal', 'api', 'apex', 'api gateway', 'stream'])
    assert.deepEqual([...recent].toSorted(), await query('list'))
    return 'both have every term once, the new definition the newest'
  })

  await stage.scene('terms are forgotten', async () => {
    const { forgotten } = await stage.call<{ forgotten: number }>('forget', {
      glossary,
      terms: ['api', 'apex', 'unheard of'],
    })
    assert.equal(forgotten, 2)
    assert.deepEqual(await query('list'), ['api gateway', 'journal', 'map', 'stream'])
    assert.deepEqual(await query('recent', { limit: 9 }), ['map', 'journal', 'api gateway', 'stream'])
    const failed = await stage.callTool('define', { glossary, term: 'xyzzy' })
    assert.ok(failed.isError)
    assert.deepEqual(await lookUp('xyzzy'), {})
    return 'from both indexes; a definition that fails leaves nothing'
  })
})
