import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { runClient } from '../examples/run-client.js'
import type { AuditEntry } from './audited.js'

interface Page {
  entries: AuditEntry[]
  last?: string
}

await runClient('audit', async (stage) => {
  const began = new Date()
  const account = stage.named
  /** The entries of this run: the map is everybody's. */
  const ours = ({ entries }: Page): string[] =>
    entries
      .filter(({ args }) => (args as { account: string }).account.endsWith(stage.run))
      .map((entry) => `${entry.tool} ${(entry.args as { account: string }).account} ${entry.outcome}`)

  await stage.scene('calls leave entries, failed ones too', async () => {
    const opened = await stage.call<{ number: number }>('open_account', { account: account('ada') })
    assert.ok(Number.isInteger(opened.number))
    const failed = await stage.callTool('close_account', { account: account('nobody') })
    assert.ok(failed.isError)
    await stage.call('close_account', { account: account('ada') })
    assert.deepEqual(ours(await stage.call('recent_calls', { limit: 3 })), [
      `close_account ${account('ada')} succeeded`,
      `close_account ${account('nobody')} failed`,
      `open_account ${account('ada')} succeeded`,
    ])
    return 'three calls, three entries, latest first'
  })

  await stage.scene('a node dies in a call', async () => {
    await stage.trouble('open', 'kill-after')
    await stage.call('open_account', { account: account('alan') })
    assert.deepEqual(await stage.done('alan'), ['open done', 'open repeated'])
    assert.equal(await stage.nodes('alan'), 2)
    const entries = ours(await stage.call('recent_calls', { limit: 10 }))
    const wanted = `open_account ${account('alan')} succeeded`
    assert.equal(entries.filter((entry) => entry === wanted).length, 1)
    return 'finished by another one: one account, one entry'
  })

  await stage.scene('a span of time, page by page', async () => {
    // Keys are as fine as a millisecond, and the end of a span is not part of it.
    await sleep(2)
    const span = { from: began.toISOString(), to: new Date().toISOString(), limit: 2 }
    const all: string[] = []
    let after: string | undefined
    do {
      const page = await stage.call<Page>('calls_between', { ...span, after })
      all.push(...ours(page))
      after = page.entries.length === span.limit ? page.last : undefined
    } while (after !== undefined)
    assert.deepEqual(all, [
      `open_account ${account('ada')} succeeded`,
      `close_account ${account('nobody')} failed`,
      `close_account ${account('ada')} succeeded`,
      `open_account ${account('alan')} succeeded`,
    ])
    const before = { from: '2020-01-01T00:00:00Z', to: began.toISOString() }
    assert.deepEqual(ours(await stage.call('calls_between', before)), [])
    return 'four entries, oldest first; none from before'
  })
})
