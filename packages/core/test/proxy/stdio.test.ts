import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { durable } from '../../src/index.js'
import { Alone } from '../support/alone.js'
import { dataOf, expectRefused, initialize, Session, textOf } from '../support/session.js'
import { BeforeStdio, isAlive, LIMIT, StdioAlone, textIn } from '../support/stdio.js'

// Servers that speak stdio, and what may be wrong with them. Each fault concerns the request that it hits: nothing hangs.

test('each session has a process of its own, which ends with it; nothing is left when the node is closed', async () => {
  const pids: number[] = []
  {
    await using before = new BeforeStdio('')
    const [one, other] = [await Session.begin(before.nodes), await Session.begin(before.nodes)]
    for (const session of [one, other, one]) pids.push(Number(await session.result('run')))
    expect(pids[2]).toBe(pids[0])
    expect(pids[1]).not.toBe(pids[0])
    await (await one.delete()).body?.cancel()
    await waitFor(() => !isAlive(pids[0]!))
    expect(isAlive(pids[1]!)).toBe(true)
  }
  expect(pids.filter(isAlive)).toEqual([])
})

test('a process that dies when nothing runs is started with the next request', async () => {
  await using before = new BeforeStdio('')
  const session = await Session.begin(before.nodes)
  const pid = Number(await session.result('run'))
  process.kill(pid, 'SIGKILL')
  await waitFor(() => before.log.some((line) => /was ended by SIGKILL/.test(line)))
  expect(Number(await session.result('run'))).not.toBe(pid)
})

test('one that dies in each call is started for as many as a call may be begun', async () => {
  await using before = new BeforeStdio(`on['tools/call'] = () => process.exit(3)`, { maxAttempts: 3 })
  const session = await Session.begin(before.nodes)
  for (const [tool, starts] of [
    ['run', 1],
    ['look', 3],
  ] as const) {
    before.log.length = 0
    expect(await session.result(tool)).toMatch(/outcome is unknown/)
    expect(before.log.filter((line) => /ended with exit code 3/.test(line))).toHaveLength(starts)
  }
  expect((await session.request('ping')).status).toBe(200)
})

test('one that ends before it is of use says so to its client, and is started less and less often', async () => {
  await using before = new BeforeStdio(`console.error('no key'); process.exit(7)`)
  const first = await expectRefused(await initialize(before.nodes), 502)
  expect(first.error.message).toMatch(/ended with exit code 7 before it answered initialize/)
  const later = async () => {
    const response = await initialize(before.nodes)
    await response.body?.cancel()
    return response.status === 503 && response
  }
  expect((await waitFor(later)).headers.get('retry-after')).toMatch(/^[12]$/)
  expect(before.log.join('\n')).toMatch(/stdio \d+: no key/)
})

test('a command that is not there is an answer, and a line on the log', async () => {
  const lines: string[] = []
  const note = (_: object, message: string) => void lines.push(message)
  const logger = { error: note, warn: note, info: note, debug: note }
  const mcp = durable({ stdio: { command: '/nowhere/server' }, logger })
  const nodes = {
    endpoint: () => ({ fetch: (init?: RequestInit) => mcp.fetch(new Request('http://127.0.0.1/', init)) }),
  }
  const { error } = await expectRefused(await initialize(nodes as never), 502)
  expect(error.message).toMatch(/cannot be started/)
  expect(lines.join()).toMatch(/command of a server of stdio cannot be started/)
  await mcp.close()
})

test.each([
  ['no JSON', `put('{"jsonrpc":"2.0","id":' + JSON.stringify(id) + ',"result":{"content":[}')`, /not JSON/],
  ['no message', `put(JSON.stringify({ id, result: 5 }))`, /no message of JSON-RPC/],
  ['too much', `answer(id, 'x'.repeat(${LIMIT}))`, /more than 100000 bytes/],
  [
    'too much, of which it can not be seen what it is',
    `put('x'.repeat(${LIMIT + 1}))`,
    /more than 100000 bytes/,
  ],
])('an answer that is %s ends its request; the process goes on', async (_name, script, told) => {
  await using before = new BeforeStdio(
    `on['tools/call'] = ({ id, params }) => params.arguments.well ? answer(id, 'fine') : (${script})`,
  )
  const session = await Session.begin(before.nodes)
  expect((await (await session.call('run')).messages()).at(-1)).toMatchObject({
    error: { message: expect.stringMatching(told) as unknown },
  })
  expect(await session.result('run', { well: true })).toBe('fine')
})

test('what is no message is left out, however much it is, and so is what is said before initialize', async () => {
  const noisy = `
    say({ method: 'notifications/message', params: { level: 'info', data: 'early' } })
    say({ id: 'unasked', result: {} })
    put('Server is running!')
    put('[]'), put('3'), put('')
    put('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + 'x'.repeat(${LIMIT}) + '"}}')
    for (let n = 0; n < 1000; n++) put('line ' + n)`
  await using before = new BeforeStdio(noisy)
  const session = await Session.begin(before.nodes)
  expect(Number(await session.result('run'))).toBeGreaterThan(0)
  expect(before.log.join('\n')).toMatch(/Server is running!/)
  expect(before.log.filter((line) => /line \d/.test(line)).length).toBeLessThan(101)
})

test('a client cancels, and the process hears of it', async () => {
  await using before = new BeforeStdio(`
    on['tools/call'] = ({ id, params }) => params.arguments.told ? answer(id, on.cancelled) : say({ method: 'notifications/message', params: { level: 'info', data: 'runs' } })
    on['notifications/cancelled'] = ({ params }) => { on.cancelled = params.reason }`)
  const session = await Session.begin(before.nodes)
  const call = await session.call('run', {}, { id: 'c' })
  expect(dataOf((await call.nextMessage()).message)).toBe('runs')
  await session.notify('notifications/cancelled', { requestId: 'c', reason: 'enough' })
  await call.messages()
  await waitFor(async () => (await session.result('run', { told: true })) === 'enough')
})

test('a ping of the process is answered here', async () => {
  await using before = new BeforeStdio(`
    on['tools/call'] = ({ id }) => { say({ id: 9, method: 'ping' }); on.answered = (message) => answer(id, JSON.stringify(message.result)) }`)
  expect(await (await Session.begin(before.nodes)).result('run')).toBe('{}')
})

test('processes are as many as there may be: one that is idle goes for another', async () => {
  await using before = new BeforeStdio(
    `on['tools/call'] = ({ id, params }) => params.arguments.wait ? 0 : answer(id, process.pid)`,
    { maxServers: 1 },
  )
  const one = await Session.begin(before.nodes)
  const pid = Number(await one.result('run'))
  await waitFor(async () => {
    await (await initialize(before.nodes)).body?.cancel()
    return !isAlive(pid)
  })
  const other = await Session.begin(before.nodes)
  await using running = await other.call('run', { wait: true })
  await waitFor(async () => (await initialize(before.nodes)).status === 503)
  expect(running).toBeDefined()
})

test('an idle process ends, and is there again when it is needed', async () => {
  await using before = new BeforeStdio('', { serverIdleMs: 100 })
  const session = await Session.begin(before.nodes)
  const pid = Number(await session.result('run'))
  await waitFor(() => !isAlive(pid))
  expect(Number(await session.result('run'))).not.toBe(pid)
})

test('a session that can not be made ready now says so, and goes on when it can', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-stdio-'))
  const broken = join(folder, 'broken')
  await using before = new BeforeStdio(
    `if (require('node:fs').existsSync(${JSON.stringify(broken)})) process.exit(5)`,
    { serverIdleMs: 100 },
  )
  const session = await Session.begin(before.nodes)
  const pid = Number(await session.result('run'))
  await waitFor(() => !isAlive(pid))
  await writeFile(broken, '')
  const refused = await session.request('tools/list')
  expect([refused.status, await refused.text()]).toEqual([502, expect.stringMatching(/exit code 5/)])
  await rm(folder, { recursive: true })
  await waitFor(async () => (await session.request('ping')).status === 200)
  expect(Number(await session.result('run'))).not.toBe(pid)
})

test('a request that lists is sent again to the next process', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-stdio-'))
  const seen = JSON.stringify(join(folder, 'seen'))
  await using before = new BeforeStdio(`
    const { existsSync, writeFileSync } = require('node:fs')
    on['resources/list'] = ({ id }) => {
      if (existsSync(${seen})) return say({ id, result: { resources: [] } })
      writeFileSync(${seen}, '')
      process.exit(6)
    }`)
  const session = await Session.begin(before.nodes)
  expect(await (await session.request('resources/list')).json()).toMatchObject({ result: { resources: [] } })
  expect(before.log.join()).toMatch(/ended with exit code 6/)
  await rm(folder, { recursive: true })
})

test('a request that was never sent says so when no process can be started for it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-stdio-'))
  const broken = join(folder, 'broken')
  await using before = new BeforeStdio(
    `if (require('node:fs').existsSync(${JSON.stringify(broken)})) process.exit(5)`,
  )
  const session = await Session.begin(before.nodes)
  const pid = Number(await session.result('run'))
  await writeFile(broken, '')
  process.kill(pid, 'SIGKILL')
  await waitFor(() => before.log.some((line) => /was ended by SIGKILL/.test(line)))
  expect(await session.result('run')).toMatch(/nothing was done/)
  await rm(folder, { recursive: true })
  expect(Number(await session.result('run'))).not.toBe(pid)
})

test('a client without a session is served, and asked what the process asks', async () => {
  await using before = new BeforeStdio(`
    on['tools/call'] = ({ id }) => { say({ id: 1, method: 'roots/list' }); on.answered = ({ result }) => answer(id, JSON.stringify(result)) }`)
  const alone = new Alone(before.nodes)
  const meta = { 'io.modelcontextprotocol/clientCapabilities': { roots: {} } }
  const [asked] = await (await alone.call('run', {}, { meta })).messages()
  const { requestState, inputRequests } = (asked as { result: Record<string, object> }).result
  const [key = ''] = Object.keys(inputRequests ?? {})
  const more = { requestState, inputResponses: { [key]: { roots: [] } } }
  const answered = await (await alone.call('run', {}, { meta, more })).messages()
  expect(textOf(answered.at(-1))).toBe('{"roots":[]}')
})

test('what a request without a session says of itself is told in initialize, and nowhere else', async () => {
  await using before = new BeforeStdio(`
    let begun
    const { initialize } = on
    on.initialize = (message) => { begun = message.params; initialize(message) }
    on['tools/call'] = ({ id, params }) => answer(id, JSON.stringify([begun.clientInfo.name, params._meta]))`)
  const alone = new Alone(before.nodes)
  const texts = []
  for (const more of [{}, { progressToken: 't' }])
    texts.push(textOf((await (await alone.call('run', {}, { meta: more })).messages()).at(-1)))
  expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual([
    ['raw', null],
    ['raw', { progressToken: 1 }],
  ])
})

test('for clients without a session that come again, a process is there before; nobody has used it', async () => {
  const pids: string[] = []
  {
    await using before = new BeforeStdio(`
      let used = 0
      on['tools/call'] = ({ id }) => answer(id, process.pid + ' ' + ++used + ' ' + process.uptime())`)
    const alone = new Alone(before.nodes)
    for (let n = 0; n < 4; n++) pids.push(textOf((await (await alone.call('run')).messages()).at(-1)))
    expect(new Set(pids.map((text) => text.split(' ')[0])).size).toBe(4)
    expect(pids.map((text) => text.split(' ')[1])).toEqual(['1', '1', '1', '1'])
  }
  expect(pids.filter((text) => isAlive(Number.parseInt(text, 10)))).toEqual([])
})

test('one that dies again and again when it has nothing to do is started less and less often', async () => {
  await using before = new BeforeStdio(`
    const { initialize } = on
    on.initialize = (message) => { initialize(message); setTimeout(() => process.exit(4), 10) }`)
  await waitFor(async () => {
    const response = await initialize(before.nodes)
    await response.body?.cancel()
    return response.status === 503
  })
  expect(before.log.join()).toMatch(/ended with exit code 4/)
})

test('a process that reads nothing more is not sent without end', async () => {
  await using before = new BeforeStdio(`on['tools/call'] = () => { lines.pause(); process.stdin.pause() }`, {
    maxBodyBytes: 8_000_000,
  })
  const session = await Session.begin(before.nodes)
  await using running = await session.call('run')
  expect(running).toBeDefined()
  const params = { name: 'run', arguments: { text: 'x'.repeat(6_000_000) } }
  const statuses: number[] = []
  const ask = async () => {
    const response = await session.request('completion/complete', params)
    statuses.push(response.status)
    await response.body?.cancel()
  }
  const asked = Promise.all(Array.from({ length: 4 }, ask))
  await waitFor(() => statuses.includes(503))
  await asked
})

test('what a process says faster than it can be recorded makes it wait, and comes in order', async () => {
  await using before = new BeforeStdio(`
    on['tools/call'] = ({ id, params }) => {
      for (let progress = 1; progress <= 2000; progress++)
        say({ method: 'notifications/progress', params: { progressToken: params._meta.progressToken, progress, message: 'x'.repeat(2000) } })
      answer(id, 'said')
    }`)
  const session = await Session.begin(before.nodes)
  const messages = await (await session.call('run', {}, { token: 't' })).messages()
  const steps = messages.slice(0, -1).map((message) => 'params' in message && message.params?.['progress'])
  expect(steps).toEqual(Array.from({ length: 2000 }, (_, n) => n + 1))
  expect(textOf(messages.at(-1))).toBe('said')
})

test('a process whose messages nobody reads waits', async () => {
  await using alone = new StdioAlone(`
    on['tools/call'] = ({ id }) => {
      console.error('before')
      for (let n = 0; n < 100; n++) say({ method: 'notifications/message', params: { level: 'info', data: 'x'.repeat(50_000) } })
      answer(id, 'said')
      process.stdout.write('', () => console.error('after'))
    }`)
  const { log } = alone
  const unread = await alone.exchange('tools/call', { name: 'run' }, await alone.begin())
  await waitFor(() => log.some((line) => line.endsWith('before')))
  // Others are served meanwhile.
  for (let n = 0; n < 3; n++)
    expect(await textIn((await alone.exchange('ping', {}, await alone.begin())).body)).toMatch(/result/)
  expect(log.some((line) => line.endsWith('after'))).toBe(false)
  expect((await textIn(unread.body)).length).toBeGreaterThan(5_000_000)
  await waitFor(() => log.some((line) => line.endsWith('after')))
})

test.each([
  [{}, /`stdio` must be how its process is started/],
  [{ command: '' }, /`stdio` must be/],
  [{ command: 'a', args: 'b' }, /`stdio` must be/],
  [{ command: 'a', shell: true }, /`stdio` must be/],
])('%j is refused', (stdio, told) => {
  expect(() => durable({ stdio } as never)).toThrow(told)
})
