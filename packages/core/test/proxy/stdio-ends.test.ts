import { mkdtemp, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { kill } from 'node:process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { StdioProcess } from '../../src/proxy/stdio/stdio-process.js'
import { Session } from '../support/session.js'
import { BeforeStdio, isAlive, LIMIT, serverOf, StdioAlone, textIn } from '../support/stdio.js'
import { openStorage } from '../support/stores.js'

// What is asked of a process that ends, and what it has said before.

/** A child that lives on, and has the pipes of its parent. */
const CHILD = `
  const forLong = 'setTimeout(() => 0, 60_000)'
  require('node:child_process').spawn(process.execPath, ['-e', forLong], { stdio: 'inherit' })`

test('a process that has died, and whose output a child holds open, is not asked any more', async () => {
  await using before = new BeforeStdio(CHILD)
  const session = await Session.begin(before.nodes)
  const pid = Number(await session.result('run'))
  kill(pid, 'SIGKILL')
  await waitFor(() => !isAlive(pid))
  expect(await session.result('run')).toMatch(/^\d+$/)
})

test.each([
  ['says nothing more, and is being ended', `require('node:fs').closeSync(1)`],
  [
    'does not read any more',
    `process.stdin.on('close', () => { require('node:fs').closeSync(0); console.error('input has ended') }).destroy()`,
  ],
])('a process that %s is not asked any more', async (_name, script) => {
  await using before = new BeforeStdio(`
    lines.removeAllListeners('close')
    lines.on('close', () => console.error('input has ended'))
    setInterval(() => 0, 1000)
    on['tools/call'] = ({ id, params }) => {
      answer(id, process.pid)
      if (params.arguments.last) process.stdout.write('', () => { ${script} })
    }`)
  const session = await Session.begin(before.nodes)
  const pid = await session.result('run', { last: true })
  await waitFor(() => before.log.some((line) => /input has ended/.test(line)))
  expect(isAlive(Number(pid))).toBe(true)
  const next = await session.result('run')
  expect(next).toMatch(/^\d+$/)
  expect(next).not.toBe(pid)
})

test('what a client tells a process that has died is told to the next one', async () => {
  await using before = new BeforeStdio(`${CHILD}
    let told = 'nothing'
    on['notifications/roots/list_changed'] = () => { told = 'changed' }
    on['tools/call'] = ({ id, params }) => answer(id, params.arguments.told ? told : process.pid)`)
  const session = await Session.begin(before.nodes)
  const pid = Number(await session.result('run'))
  kill(pid, 'SIGKILL')
  await waitFor(() => !isAlive(pid))
  await session.notify('notifications/roots/list_changed')
  expect(await session.result('run', { told: true })).toBe('changed')
})

/** `isFirst` is true in the first process that runs the script, and in no other. */
async function firstOnly(script: string) {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-stdio-'))
  const begun = JSON.stringify(join(folder, 'begun'))
  const isFirst = `
    const isFirst = !require('node:fs').existsSync(${begun})
    require('node:fs').writeFileSync(${begun}, '')`
  return { script: `${isFirst}\n${script}`, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}

test('an answer that is cut off by the death of its process is none: what may be run again is', async () => {
  await using server = await firstOnly(`
    on['tools/call'] = ({ id }) => {
      if (!isFirst) return answer(id, 'whole')
      process.stdout.write('{"jsonrpc":"2.0","id":' + id + ',"result":{"content":[{"ty', () => process.exit(3))
    }`)
  await using before = new BeforeStdio(server.script)
  const session = await Session.begin(before.nodes)
  expect(await session.result('look')).toBe('whole')
})

test('a last answer without the end of its line is an answer', async () => {
  await using before = new BeforeStdio(`
    const text = (id) => JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'said' }] } })
    on['tools/call'] = ({ id }) => process.stdout.write(text(id), () => process.exit(0))`)
  const session = await Session.begin(before.nodes)
  expect(await session.result('run')).toBe('said')
})

test.each([
  ['has died', async (session: Session) => void (await session.result('run'))],
  ['ends with its node', async (_: Session, before: BeforeStdio) => before.mcp.close({ graceMs: 0 })],
])('what a process has said outside of calls is kept when it %s', async (name, then) => {
  await using storage = openStorage('memory')
  const store = storage.forNode()
  let kept = 0
  const append: typeof store.append = async (...args) => {
    if (args[1] !== 'out') return store.append(...args)
    await sleep(2)
    const id = await store.append(...args)
    if (id !== undefined) kept++
    return id
  }
  await using before = new BeforeStdio(
    `
    const talk = () => {
      for (let n = 0; n < 100; n++) say({ method: 'notifications/message', params: { level: 'info', data: n } })
    }
    on['tools/call'] = ({ id, params }) => {
      answer(id, 'fine')
      if (params.arguments.talk) setImmediate(talk)
      if (params.arguments.last) process.stdout.write('', () => process.exit(0))
    }`,
    { store: Object.assign(Object.create(store) as typeof store, { append }) },
  )
  const session = await Session.begin(before.nodes)
  await session.result('run', { talk: true })
  // Its answer comes behind what was said, which would belong to a call.
  expect((await session.request('tools/list')).status).toBe(200)
  await session.result('run', { last: name === 'has died' })
  await then(session, before)
  await waitFor(() => kept === 100)
})

test('what a process wrote last is read to its end, although it is more than what may wait', async () => {
  const server = serverOf(`
    const write = (n) => process.stdout.write('x'.repeat(9999) + '\\n', () => { console.error(n); write(n + 1) })
    write(1)`)
  let [written, read, hasEnded] = [0, 0, false]
  const note = (_fields: object, message: string) =>
    (written = Number(/^stdio \d+: (\d+)$/.exec(message)?.[1] ?? written))
  const process = new StdioProcess(server, {
    maxLineBytes: LIMIT,
    onLine: () => {
      read++
      process.listen(false)
    },
    onEnd: () => (hasEnded = true),
    logger: { error: note, warn: note, info: note, debug: note },
  })
  process.listen(false)
  let before = 0
  await waitFor(() => {
    const isFull = written > 0 && written === before
    before = written
    return isFull
  })
  kill(process.pid!, 'SIGKILL')
  await waitFor(() => hasEnded)
  expect(read).toBeGreaterThanOrEqual(written)
})

test('no process is started for who has gone, nor by a node that has left', async () => {
  await using server = await firstOnly(`isFirst ? process.exit(3) : console.error('started again')`)
  await using alone = new StdioAlone(server.script)
  await expect(textIn((await alone.initialize()).body)).rejects.toThrow(/exit code 3/)
  const gone = new AbortController()
  // It waits for a moment, since the first has failed.
  const waiting = alone.initialize(gone)
  gone.abort()
  await expect(waiting).rejects.toBe(gone.signal.reason)
  await alone.backend.close()
  expect((await alone.initialize()).status).toBe(503)
  expect(alone.log.filter((line) => /started again/.test(line))).toEqual([])
})

test('a process that asks without end, and reads nothing, is ended', async () => {
  await using before = new BeforeStdio(
    `
    on['tools/call'] = () => {
      lines.pause(), process.stdin.pause()
      const ping = () => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id: 'x'.repeat(90_000), method: 'ping' }) + '\\n', ping)
      ping()
    }`,
  )
  const session = await Session.begin(before.nodes)
  expect(await session.result('run')).toMatch(/outcome is unknown/)
  expect(before.log.join()).toMatch(/reads nothing/)
})
