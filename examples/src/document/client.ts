import assert from 'node:assert/strict'
import { runClient, type Stage } from '../examples/run-client.js'

interface Processed {
  stored: number
  pages: { text: string; problem?: string }[]
}

await runClient('document', async (stage) => {
  await stage.scene('scanned, read, translated, stored', async () => {
    const { stored, pages } = await read(stage, 'plain')
    assert.equal(stored, 3)
    for (const [page, { text }] of pages.entries())
      assert.match(text, new RegExp(`^image ${page + 1}: .*\\(en français\\)$`))
    assert.deepEqual(await count(stage, 'plain'), { scan: 1, ocr: 3, translate: 3, store: 1 })
    return `turned away ${await stage.turnedAway('plain')} times by a busy service; each thing done once`
  })

  await stage.scene('a language that nobody translates', async () => {
    const { pages } = await read(stage, 'klingon', 'tlh')
    assert.ok(pages.every(({ problem }) => problem === "there is no translator for 'tlh'"))
    assert.deepEqual(await count(stage, 'klingon'), { scan: 1, ocr: 3, translate: 0, store: 1 })
    return 'stored as it was read, and it says so'
  })

  await stage.scene('a node dies when a page is translated', async () => {
    await stage.trouble('translate', 'kill-after')
    const { pages } = await read(stage, 'dead')
    assert.deepEqual(problems(pages), ['not translated', undefined, undefined])
    assert.deepEqual(await count(stage, 'dead'), { scan: 1, ocr: 3, translate: 3, store: 1 })
    assert.equal(await stage.nodes('dead'), 2)
    return 'that page is not paid for again; the others were not read again'
  })

  await stage.scene('a node dies while pages are read', async () => {
    await stage.trouble('ocr', 'kill-before')
    const { pages } = await read(stage, 'torn')
    const lost = problems(pages).filter((problem) => problem === 'not read').length
    assert.ok(lost >= 1)
    const { scan, ocr = 0, store } = await count(stage, 'torn')
    assert.deepEqual([scan, store], [1, 1])
    assert.ok(ocr <= 3, 'a page was paid for twice')
    return `${lost} of 3 pages unknown, none paid for twice`
  })

  await stage.scene('a node dies when all is stored', async () => {
    await stage.trouble('store', 'kill-after')
    assert.deepEqual(problems((await read(stage, 'end')).pages), [undefined, undefined, undefined])
    assert.deepEqual(await count(stage, 'end'), { scan: 1, ocr: 3, translate: 3, store: 1 })
    assert.equal((await stage.done('end')).at(-1), 'store repeated')
    return 'stored once, nothing read or translated again'
  })
})

async function read(stage: Stage, document: string, language = 'fr'): Promise<Processed> {
  const progress: number[] = []
  const args = { document: stage.named(document), pages: 3, language }
  const result = await stage.call<Processed>('process_document', args, {
    onprogress: (at) => progress.push(at.progress),
  })
  assert.deepEqual(progress, [1, 2, 3, 4])
  return result
}

function problems(pages: Processed['pages']): (string | undefined)[] {
  return pages.map(({ problem }) => problem)
}

/** How often each thing was really done. */
async function count(stage: Stage, document: string): Promise<Record<string, number>> {
  const done = await stage.done(document)
  const actions = ['scan', 'ocr', 'translate', 'store']
  return Object.fromEntries(
    actions.map((action) => [action, done.filter((act) => act === `${action} done`).length]),
  )
}
