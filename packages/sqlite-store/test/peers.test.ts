import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { createConnection, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import { networkFileSystem } from '../src/network-file-systems.js'
import { peersFolder } from '../src/peers-folder.js'
import { Peers } from '../src/peers.js'
import type { Wake } from '../src/peers.js'
import { Turns } from '../src/turns.js'

// Several handles in one process, each of which behaves as a process does. Real processes: tests/sqlite-peers.test.ts.

const dirs: string[] = []
const opened: Peers[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((peers) => peers.close()))
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

const newFile = (name = 'mcp.db') => {
  const dir = mkdtempSync(join(tmpdir(), 'peers-'))
  dirs.push(dir)
  writeFileSync(join(dir, name), '')
  return join(dir, name)
}

type Handle = { peers: Peers; heard: Wake[]; watched: Set<string> }
function open(file: string): Handle {
  const heard: Wake[] = []
  const watched = new Set<string>()
  const peers = Peers.open(file, (wakes) => heard.push(...wakes), {
    has: (name, scope) => watched.has(`${name} ${scope}`),
    nodeChannels: [],
  })
  opened.push(peers)
  return { peers, heard, watched }
}

/** Handles that have heard of each other. */
async function openMany(file: string, count: number): Promise<Handle[]> {
  const handles: Handle[] = []
  for (let number = 0; number < count; number++) handles.push(open(file))
  for (const { peers } of handles) {
    await waitFor(() => {
      peers.committed([wake('hello')])
      return handles.every(({ peers: other, heard }) => other === peers || heard.length > 0)
    })
    for (const { heard } of handles) heard.length = 0
  }
  // What was said before is heard before what comes last.
  for (const { peers } of handles) peers.committed([wake('last')])
  await waitFor(() =>
    handles.every(({ heard }) => heard.filter(({ topic }) => topic === 'last').length === count - 1),
  )
  for (const { heard } of handles) heard.length = 0
  return handles
}

const wake = (topic: string, value = ''): Wake => ({ name: 'shop', scope: 's', topic, value })
const topics = ({ heard }: Handle) => heard.map(({ topic }) => topic)
const sockets = (file: string) => readdirSync(peersFolder(file)).filter((name) => name.endsWith('.sock'))

describe('wakes', () => {
  test('all others hear what has changed, once and in order; the one that says it does not', async () => {
    const [one, two, three] = (await openMany(newFile(), 3)) as [Handle, Handle, Handle]
    const appended = { previous: '1-1', entries: [{ id: '1-2', data: 'ü\n\ud800' }] }
    one.peers.committed([{ ...wake('out', '1-2'), appended }, wake('state', '2')])
    one.peers.committed([{ ...wake('deleted'), name: undefined }])

    await waitFor(() => two.heard.length === 3 && three.heard.length === 3)
    expect(two.heard).toEqual(three.heard)
    expect(two.heard[0]).toEqual({ ...wake('out', '1-2'), appended })
    expect(topics(two)).toEqual(['out', 'state', 'deleted'])
    expect(two.heard[2]?.name).toBeUndefined()
    expect(one.heard).toEqual([])
  })

  test('a change that follows a start at once is heard', async () => {
    const file = newFile()
    const one = open(file)
    const two = open(file)
    two.peers.committed([wake('early')])
    await waitFor(() => topics(one).includes('early'))
    expect(topics(one)).toEqual(['early'])
  })

  test('whoever closes the file leaves no socket, and the last one no folder', async () => {
    const file = newFile()
    const [one, two] = (await openMany(file, 2)) as [Handle, Handle]
    await one.peers.close()
    expect(sockets(file)).toHaveLength(1)
    expect(two.heard).toEqual([])
    await two.peers.close()
    expect(existsSync(peersFolder(file))).toBe(false)
    two.peers.committed([wake('late')])
    expect(await two.peers.busy()).toBeUndefined()
  })

  test('without a file there are no others', async () => {
    const peers = Peers.open(undefined, () => expect.unreachable())
    peers.committed([wake('out')])
    expect(peers.turn()).toBeUndefined()
    expect(await peers.isWatched(undefined, 's')).toBe(false)
    await peers.busy()
    await peers.close()
  })
})

describe('a process that does not read', () => {
  /** As one that was stopped: it listens, and reads nothing until it is told to. */
  async function stopped(file: string) {
    const id = '0123456789ab'
    const address = join(peersFolder(file), `${id}.sock`)
    const server = createServer({ pauseOnConnect: true })
    server.listen(address)
    await once(server, 'listening')
    const socket = createConnection(
      join(
        peersFolder(file),
        sockets(file).find((name) => !name.startsWith(id))!,
      ),
    )
    socket.write(`${JSON.stringify({ kind: 'hello', id })}\n`)
    const [incoming] = (await once(server, 'connection')) as [Socket]
    return {
      server,
      socket,
      incoming,
      tell: (text: string) => writeFileSync(address.replace('.sock', '.nodes'), text),
      say: (message: object) => socket.write(`${JSON.stringify(message)}\n`),
    }
  }

  test('is kept a bounded number of bytes for, and told that it has missed some', async () => {
    const file = newFile()
    const { peers } = open(file)
    const { server, socket, incoming } = await stopped(file)
    const text = 'x'.repeat(10_000)
    for (let number = 0; number < 1000; number++) {
      peers.committed([wake('big', text)])
      if (number % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    }

    let read = ''
    incoming.setEncoding('utf8').on('data', (part: string) => (read += part))
    incoming.resume()
    await waitFor(() => read.includes('"kind":"resync"'))
    expect(read.length).toBeGreaterThan(100_000)
    expect(read.length).toBeLessThan(2_000_000)
    // It hears everything again from there on.
    peers.committed([wake('small')])
    await waitFor(() => read.includes('small'))
    expect(read.indexOf('small')).toBeGreaterThan(read.indexOf('resync'))
    socket.destroy()
    incoming.destroy()
    server.close()
  })

  test('is let go first once, and not waited for again', async () => {
    const file = newFile()
    const { peers } = open(file)
    const { server, socket, incoming, say } = await stopped(file)
    say({ kind: 'waits', since: 0 })
    await waitFor(() => peers.turn() !== undefined)
    // Its turn is over after some ms.
    await peers.turn()
    expect(peers.turn()).toBeUndefined()
    socket.destroy()
    incoming.destroy()
    server.close()
  })

  test.each([
    ['a scope', 's', undefined],
    ['a node, if it is of a version that does not tell', 'node:a', undefined],
    ['a node, if it could not tell to the end', 'node:a', '["[\\"shop'],
    ['its own node', 'node:a', '["[\\"shop\\",\\"node:a\\"]"]'],
  ])('may watch %s, until it has ended', async (_what, scope, told) => {
    const file = newFile()
    const { peers, heard } = open(file)
    const { server, socket, incoming, tell } = await stopped(file)
    if (told !== undefined) tell(told)
    expect(await waitFor(() => peers.isWatched('shop', scope))).toBe(true)
    server.close()
    socket.destroy()
    incoming.destroy()
    await waitFor(async () => !(await peers.isWatched('shop', scope)))
    // It said nothing when it left: something may not have been heard.
    await waitFor(() => heard.length > 0)
    expect(heard.map(({ topic }) => topic)).toEqual(['resync'])
  })

  test('watches no node but those it has told of, whoever has heard of it', async () => {
    const file = newFile()
    const { peers } = open(file)
    const { server, socket, incoming, tell } = await stopped(file)
    await waitFor(() => peers.isWatched('shop', 'node:b'))
    tell('["[\\"shop\\",\\"node:a\\"]"]')
    const late = open(file)
    // Known by its silence.
    await waitFor(() => late.peers.isWatched('shop', 's'))
    for (const each of [peers, late.peers]) {
      expect(await each.isWatched('shop', 'node:a')).toBe(true)
      expect(await each.isWatched('shop', 'node:b')).toBe(false)
      expect(await each.isWatched('other', 'node:a')).toBe(false)
    }
    socket.destroy()
    incoming.destroy()
    server.close()
  })

  test('what it says that nobody understands ends its connection and nothing else', async () => {
    const file = newFile()
    const [one, two] = (await openMany(file, 2)) as [Handle, Handle]
    for (const nonsense of ['x\n', 'null\n', '{"kind":"new","of":1}\n', '{}\n']) {
      const socket = createConnection(join(peersFolder(file), sockets(file)[0]!))
      socket.on('error', () => undefined)
      socket.end(nonsense)
      await once(socket, 'close')
    }
    one.peers.committed([wake('out')])
    two.peers.committed([wake('out')])
    await waitFor(() => one.heard.length === 1 && two.heard.length === 1)
  })
})

describe('turns', () => {
  test('nobody is waited for when nobody waits', async () => {
    const [one, two] = (await openMany(newFile(), 2)) as [Handle, Handle]
    one.peers.committed([wake('out')])
    await waitFor(() => two.heard.length > 0)
    expect(one.peers.turn()).toBeUndefined()
    expect(two.peers.turn()).toBeUndefined()
  })

  test('who has waited for longer goes first', async () => {
    const turns = new Turns('b', () => undefined)
    turns.waits('a', 0)
    turns.waits('c', Number.MAX_VALUE)
    const turn = turns.turn()
    const order: string[] = []
    const written = turn?.then(() => order.push('b'))
    turns.committed('c')
    await Promise.resolve()
    order.push('a')
    turns.committed('a')
    await written
    expect(order).toEqual(['a', 'b'])
  })

  test('who finds the file busy goes on when somebody has written, unless others were before', async () => {
    const said: number[] = []
    const turns = new Turns('b', (since) => said.push(since))
    const first = turns.busy()
    turns.committed('a')
    await first
    turns.waits('a', 0)
    const order: string[] = []
    const second = turns.busy().then(() => order.push('b'))
    turns.committed('c')
    await Promise.resolve()
    order.push('a')
    turns.committed('a')
    await second
    expect(order).toEqual(['a', 'b'])
    // It keeps its place until it has written.
    expect(said).toHaveLength(2)
    expect(said[1]).toBe(said[0])
    turns.done()
    expect(turns.areWanted).toBe(false)
  })

  test('a turn comes to its end when the one that waited goes away', async () => {
    const [one, two] = (await openMany(newFile(), 2)) as [Handle, Handle]
    void two.peers.busy()
    await waitFor(() => one.peers.turn() !== undefined, { intervalMs: 0 })
    await two.peers.close()
    await waitFor(() => one.peers.turn() === undefined)
  })
})

describe('whether somebody watches', () => {
  test('the others are asked, by name and scope', async () => {
    const [one, two, three] = (await openMany(newFile(), 3)) as [Handle, Handle, Handle]
    three.watched.add('shop s')
    expect(await one.peers.isWatched('shop', 's')).toBe(true)
    expect(await two.peers.isWatched('shop', 's')).toBe(true)
    expect(await two.peers.isWatched('shop', 't')).toBe(false)
    expect(await two.peers.isWatched(undefined, 's')).toBe(false)
    // What it watches itself it knows.
    expect(await three.peers.isWatched('shop', 's')).toBe(false)
  })
})

test('what a process watched that has ended is removed, also where another version has removed its socket', async () => {
  const file = newFile()
  const [one] = (await openMany(file, 2)) as [Handle, Handle]
  const left = join(peersFolder(file), '0123456789ab.nodes')
  writeFileSync(left, '[]')
  await open(file).peers.ready()
  expect(existsSync(left)).toBe(false)
  await one.peers.close()
  const kinds = readdirSync(peersFolder(file)).map((name) => name.slice(12))
  expect(kinds.toSorted()).toEqual(['.nodes', '.nodes', '.sock', '.sock'])
})

// Up to Node.js 22, require() takes a link for a folder when the last stat of all was one of a socket.
test('sockets are removed so that require() follows links still', async () => {
  const file = newFile()
  const [real, link] = ['real', 'link'].map((name) => join(dirname(file), name)) as [string, string]
  mkdirSync(real)
  for (const name of ['1.cjs', '2.cjs', '3.cjs'])
    writeFileSync(join(real, name), 'module.exports = __filename')
  symlinkSync(real, link)
  const require = createRequire(import.meta.url)
  require(join(real, '1.cjs'))

  const [listening, dead, watched] = ['000000000000.sock', '111111111111.sock', '111111111111.nodes'].map(
    (name) => join(`${file}-peers`, name),
  ) as [string, string, string]
  mkdirSync(`${file}-peers`, { mode: 0o700 })
  const server = createServer().listen(listening)
  await once(server, 'listening')
  renameSync(listening, dead)
  writeFileSync(watched, '[]')
  server.close()
  const { peers } = open(file)
  await waitFor(() => !existsSync(dead))
  await waitFor(() => !existsSync(watched))
  expect(require(join(link, '2.cjs'))).toBe(join(real, '2.cjs'))
  await peers.close()
  expect(require(join(link, '3.cjs'))).toBe(join(real, '3.cjs'))
})

describe('where the sockets are', () => {
  test('beside the file, for its user alone', () => {
    const file = newFile()
    const { peers } = open(file)
    expect(peersFolder(file)).toBe(`${file}-peers`)
    expect(statSync(`${file}-peers`).mode & 0o777).toBe(0o700)
    expect(statSync(join(`${file}-peers`, sockets(file)[0]!)).mode & 0o777).toBe(0o600)
    expect(peers.problem).toBeUndefined()
  })

  test('one place for a file, whatever it is called, and with a path of any length', async () => {
    const file = newFile()
    const link = join(dirname(file), 'link')
    symlinkSync(dirname(file), link)
    expect(peersFolder(join(link, 'mcp.db'))).toBe(peersFolder(file))

    const long = join(dirname(file), 'x'.repeat(120), 'mcp.db')
    mkdirSync(dirname(long))
    writeFileSync(long, '')
    expect(dirname(peersFolder(long))).toBe(tmpdir())
    const [one, two] = (await openMany(long, 2)) as [Handle, Handle]
    one.peers.committed([wake('out')])
    await waitFor(() => two.heard.length === 1)
  })

  test('where they can not be, the reason is told, nothing else fails, and a node that is late is not taken for dead', async () => {
    const file = newFile()
    writeFileSync(`${file}-peers`, '')
    const { peers } = open(file)
    expect(peers.problem).toMatch(/can't tell each other of changes: .*They find them some seconds later/)
    expect(await peers.isWatched('shop', 'node:a')).toBe(true)
    expect(await peers.isWatched('shop', 's')).toBe(false)
    peers.committed([wake('out')])
    expect(peers.turn()).toBeUndefined()
    await peers.busy()
  })
})

test.runIf(process.platform === 'linux')('network file systems are known by their type', () => {
  expect(networkFileSystem(tmpdir())).toBeUndefined()
  expect(networkFileSystem('/mnt', () => 0x6969)).toBe('NFS')
  expect(networkFileSystem('/mnt', () => 0xff534d42)).toBe('CIFS')
  expect(networkFileSystem('/mnt', () => 0xef53)).toBeUndefined()
})

test('one that was there before and says nothing is waited for once, and what it said meanwhile is looked for', async () => {
  const file = newFile()
  const address = join(peersFolder(file), '0123456789ab.sock')
  mkdirSync(dirname(address), { mode: 0o700 })
  const silent = createServer(() => undefined).listen(address)
  await once(silent, 'listening')
  const { peers, heard } = open(file)
  await peers.ready()
  const again = peers.ready().then(() => 'at once')
  expect(await Promise.race([again, new Promise(setImmediate)])).toBe('at once')
  expect(heard).toEqual([])
  const [own = ''] = sockets(file).filter((name) => !address.endsWith(name))
  const late = createConnection(join(peersFolder(file), own))
  late.write(`${JSON.stringify({ kind: 'hello', id: '0123456789ab' })}\n`)
  await waitFor(() => heard.some(({ topic }) => topic === 'resync'))
  late.destroy()
  silent.close()
})
