import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spawnNode, startRedis, waitFor } from '../test-support/index.js'
import type { NodeProcess, RedisServer } from '../test-support/index.js'
import { TaskClient } from './support/task-client.js'
import type { Task } from './support/task-client.js'

// Tasks (2026-07-28, extension `io.modelcontextprotocol/tasks`) whose nodes die, leave, or are all gone for a while.

/** The time within which a client has the rest of its task when a node of it has died. */
const DAY_MS = 24 * 60 * 60_000

let redis: RedisServer
let folder: string
beforeAll(async () => {
  redis = await startRedis()
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-tasks-'))
})
afterAll(async () => {
  await redis[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Nodes over keys of their own, and what their tools did. */
class Nodes implements AsyncDisposable {
  readonly client = new TaskClient()
  readonly #prefix = `test-${randomUUID()}`
  readonly #ledger = join(folder, this.#prefix)
  readonly #all: NodeProcess[] = []

  static async start(count: number, options: object = {}) {
    const nodes = new Nodes()
    await Promise.all(Array.from({ length: count }, () => nodes.add(options)))
    return nodes
  }

  get pair(): [NodeProcess, NodeProcess] {
    const [a, b = a] = this.#all
    return [a!, b!]
  }

  async add(options: object = {}): Promise<NodeProcess> {
    const args = [redis.url, this.#prefix, this.#ledger, JSON.stringify(options)]
    const node = await spawnNode('tests/dist/task-node.js', args)
    this.#all.push(node)
    return node
  }

  /** What was really done, in turn. */
  async done(id: string): Promise<string[]> {
    const text = await readFile(this.#ledger, 'utf8').catch(() => '')
    const lines = text.split('\n').filter((line) => line.startsWith(`${id} `))
    return lines.map((line) => line.slice(id.length + 1))
  }

  /** How many were between their first and their last step at the same time. */
  async mostAtOnce(): Promise<number> {
    const running = new Set<string>()
    let most = 0
    for (const line of (await readFile(this.#ledger, 'utf8')).split('\n')) {
      const [id = '', step] = line.split(' ')
      if (step === 'make') running.add(id)
      if (step === 'tell') running.delete(id)
      most = Math.max(most, running.size)
    }
    return most
  }

  /** Waits until its tool waits for `letGo`, and the journal says what it has done before. */
  async reached(node: NodeProcess, task: Pick<Task, 'taskId'>) {
    const isThere = async () => (await this.client.get(node, task)).statusMessage === 'made'
    await waitFor(isThere, { what: 'the first step' })
  }

  letGo(id: string) {
    return writeFile(`${this.#ledger}-${id}`, '')
  }

  /** Asks that node, as a client does, until it is so. */
  async until(node: NodeProcess, task: Pick<Task, 'taskId'>, status: string): Promise<Task> {
    return waitFor(
      async () => {
        const told = await this.client.get(node, task)
        return told.status === status && told
      },
      { what: `a task that is ${status}` },
    )
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.#all.map((node) => node.kill('SIGKILL')))
  }
}

const ALL_STEPS = ['make', 'pay', 'tell']

async function expectDone(nodes: Nodes, node: NodeProcess, task: Task, id: string, answer = 'undefined') {
  const { result } = await nodes.until(node, task, 'completed')
  expect(result?.content[0]?.text).toBe(`${id} ${answer}`)
  expect(await nodes.done(id)).toEqual(ALL_STEPS)
}

describe.each(['always', 'auto'])('a task of a tool that is one, %s', (tool) => {
  test('its owner is killed: the other node tells of it at once, and goes on with it', async () => {
    await using nodes = await Nodes.start(2)
    const [a, b] = nodes.pair
    const task = await nodes.client.create(a, tool, { id: 'x' })
    expect(task).toMatchObject({ resultType: 'task', status: 'working', ttlMs: DAY_MS })
    await nodes.reached(a, task)
    await a.kill('SIGKILL')
    expect(await nodes.client.get(b, task)).toMatchObject({ status: 'working', statusMessage: 'made' })
    await nodes.letGo('x')
    await expectDone(nodes, b, task, 'x')
  })

  test('its owner leaves (SIGTERM) in the middle of it', async () => {
    await using nodes = await Nodes.start(2)
    const [a, b] = nodes.pair
    const task = await nodes.client.create(a, tool, { id: 'x' })
    await nodes.reached(a, task)
    expect(await a.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    await nodes.letGo('x')
    await expectDone(nodes, b, task, 'x')
  })

  test('all nodes are killed, and new ones are started', async () => {
    await using nodes = await Nodes.start(2)
    const [a, b] = nodes.pair
    const task = await nodes.client.create(a, tool, { id: 'x' })
    await nodes.reached(a, task)
    await Promise.all([a.kill('SIGKILL'), b.kill('SIGKILL')])
    const c = await nodes.add()
    expect(await nodes.client.get(c, task)).toMatchObject({ taskId: task.taskId, createdAt: task.createdAt })
    await nodes.letGo('x')
    await expectDone(nodes, c, task, 'x')
  })
})

test('a question outlives who asked it, and is answered and asked once', async () => {
  await using nodes = await Nodes.start(2)
  const [a, b] = nodes.pair
  const task = await nodes.client.create(a, 'always', { id: 'x', asks: true })
  const { inputRequests } = await nodes.until(a, task, 'input_required')
  await a.kill('SIGKILL')
  const asked = await nodes.client.get(b, task)
  expect(asked.inputRequests).toEqual(inputRequests)
  const [key = ''] = Object.keys(asked.inputRequests ?? {})
  expect(await nodes.client.answer(b, task, key, 'yes')).toMatchObject({ result: { resultType: 'complete' } })
  expect(await nodes.client.get(b, task)).toMatchObject({ status: 'working' })
  // The first answer counts.
  await nodes.client.answer(b, task, key, 'no')
  await nodes.letGo('x')
  await expectDone(nodes, b, task, 'x', 'yes')
})

test('a question is answered while no node runs the call, and after all of them have died', async () => {
  await using nodes = await Nodes.start(1)
  const [a] = nodes.pair
  const task = await nodes.client.create(a, 'always', { id: 'x', asks: true })
  await nodes.until(a, task, 'input_required')
  await a.kill('SIGKILL')
  const b = await nodes.add()
  await nodes.client.answer(b, task, 'ask', 'yes')
  await b.kill('SIGKILL')
  const c = await nodes.add()
  await nodes.letGo('x')
  await expectDone(nodes, c, task, 'x', 'yes')
})

describe('it is cancelled', () => {
  async function expectCancelled(nodes: Nodes, node: NodeProcess, task: Task) {
    expect(await nodes.client.about(node, 'cancel', task.taskId)).toMatchObject({
      result: { resultType: 'complete' },
    })
    const cancelled = await nodes.until(node, task, 'cancelled')
    expect(cancelled).not.toHaveProperty('result')
    await nodes.letGo('x')
    expect(await nodes.done('x')).toEqual(['make'])
  }

  test('on another node than its owner', async () => {
    await using nodes = await Nodes.start(2)
    const [a, b] = nodes.pair
    const task = await nodes.client.create(a, 'always', { id: 'x' })
    await nodes.reached(a, task)
    await expectCancelled(nodes, b, task)
    expect(await nodes.client.get(a, task)).toMatchObject({ status: 'cancelled' })
  })

  test('when its owner is dead, and nobody has taken it over', async () => {
    await using nodes = await Nodes.start(1)
    const [a] = nodes.pair
    const task = await nodes.client.create(a, 'always', { id: 'x' })
    await nodes.reached(a, task)
    await a.kill('SIGKILL')
    await expectCancelled(nodes, await nodes.add(), task)
  })
})

test('killed before it is a task, it becomes one at the next owner, and the same key finds it', async () => {
  const settings = { taskAfterMs: 1500 }
  await using nodes = await Nodes.start(2, settings)
  const [a, b] = nodes.pair
  const key = randomUUID()
  const stream = await nodes.client.call(a, 'auto', { id: 'x' }, { key })
  await stream.events.first(({ data }) => data.includes('made'))
  await a.kill('SIGKILL')
  expect(await stream.ended).toBe('broken')
  expect(stream.messages.filter(({ result }) => result !== undefined)).toEqual([])
  const task = await nodes.client.create(b, 'auto', { id: 'x' }, { key })
  expect(task).toMatchObject({ resultType: 'task', status: 'working' })
  const again = await nodes.client.create(b, 'auto', { id: 'x' }, { key })
  expect(again.taskId).toBe(task.taskId)
  await nodes.letGo('x')
  await expectDone(nodes, b, task, 'x')
  expect((await nodes.client.create(b, 'auto', { id: 'x' }, { key })).taskId).toBe(task.taskId)
})

test('whoever has created it goes away before it is told, and it goes on', async () => {
  const settings = { onDisconnect: 'cancel' }
  await using nodes = await Nodes.start(2, settings)
  const [a, b] = nodes.pair
  const key = randomUUID()
  const gone = new AbortController()
  const creating = nodes.client.call(a, 'always', { id: 'x' }, { key, signal: gone.signal })
  await waitFor(async () => (await nodes.done('x')).length > 0)
  gone.abort()
  await creating.then(
    (stream) => stream.ended,
    () => undefined,
  )
  const task = await nodes.client.create(b, 'always', { id: 'x' }, { key })
  await nodes.letGo('x')
  await expectDone(nodes, b, task, 'x')
})

describe('its time', () => {
  test('is its own: it is there when nodes have been away for longer than a session may be idle', async () => {
    const settings = { sessionTtlMs: 1000, resumeWindowMs: 500, taskTtlMs: DAY_MS }
    await using nodes = await Nodes.start(1, settings)
    const [a] = nodes.pair
    const [running, ended, asking] = [
      await nodes.client.create(a, 'always', { id: 'x' }),
      await nodes.client.create(a, 'always', { id: 'y' }),
      await nodes.client.create(a, 'always', { id: 'z', asks: true }),
    ]
    await nodes.letGo('y')
    await nodes.until(a, ended, 'completed')
    await nodes.until(a, asking, 'input_required')
    await nodes.reached(a, running)
    await a.kill('SIGKILL')
    // As long as their scopes would have lived, by the clock of the store.
    const before = Date.now()
    await waitFor(() => Date.now() - before > 2 * settings.sessionTtlMs)
    const b = await nodes.add(settings)
    expect(await nodes.client.get(b, ended)).toMatchObject({ status: 'completed' })
    expect(await nodes.client.get(b, asking)).toMatchObject({ status: 'input_required' })
    await nodes.client.answer(b, asking, 'ask', 'yes')
    await nodes.letGo('x')
    await nodes.letGo('z')
    await expectDone(nodes, b, running, 'x')
    await expectDone(nodes, b, asking, 'z', 'yes')
  })

  test('is its own, also when it was run too often', async () => {
    const settings = { resumeWindowMs: 200, sessionTtlMs: 200, taskAfterMs: 50, maxAttempts: 1 }
    await using nodes = await Nodes.start(2, settings)
    const [a, b] = nodes.pair
    const task = await nodes.client.create(a, 'auto', { id: 'x' })
    await nodes.reached(a, task)
    await a.kill('SIGKILL')
    const { result } = await nodes.until(b, task, 'completed')
    expect(result?.isError).toBe(true)
    const before = Date.now()
    await waitFor(() => Date.now() - before > 2 * (settings.resumeWindowMs + settings.sessionTtlMs))
    expect(await nodes.client.get(b, task)).toMatchObject({ status: 'completed', result })
  })

  test('ends: it is never gone sooner, and then for everybody', async () => {
    const settings = { taskTtlMs: 2500, resumeWindowMs: 200, sessionTtlMs: 200 }
    await using nodes = await Nodes.start(2, settings)
    const [a, b] = nodes.pair
    const task = await nodes.client.create(a, 'always', { id: 'x' })
    await nodes.letGo('x')
    await nodes.until(b, task, 'completed')
    const endsAt = Date.parse(task.createdAt) + settings.taskTtlMs
    const goneAt = async (node: NodeProcess) => {
      const { error } = await nodes.client.about(node, 'get', task.taskId)
      return error && { ...error, at: Date.now() }
    }
    for (const node of [a, b]) {
      const gone = await waitFor(() => goneAt(node), { what: 'a task that is gone' })
      expect(gone.code).toBe(-32602)
      expect(gone.at).toBeGreaterThanOrEqual(endsAt)
    }
  })
})

test('of somebody else, it is nowhere to be found', async () => {
  await using nodes = await Nodes.start(2)
  const [a, b] = nodes.pair
  const task = await nodes.client.create(a, 'always', { id: 'x' })
  await nodes.reached(a, task)
  for (const method of ['get', 'update', 'cancel']) {
    const foreign = await nodes.client.about(b, method, task.taskId, {}, { user: 'bob' })
    const unknown = await nodes.client.about(b, method, 'A'.repeat(22), {}, { user: 'bob' })
    expect(foreign.error).toEqual(unknown.error)
    expect(foreign.error?.code).toBe(-32602)
  }
  await nodes.letGo('x')
  await expectDone(nodes, b, task, 'x')
})

describe('tasks that wait for their turn', () => {
  const QUEUED = { status: 'working', statusMessage: expect.stringMatching(/^Waiting for its turn/) }

  test('their node is killed, with one that runs: that keeps its place, and they begin when it has ended', async () => {
    await using nodes = await Nodes.start(2, { quotas: [{ runsAtOnce: 1 }] })
    const [a, b] = nodes.pair
    const running = await nodes.client.create(a, 'always', { id: 'x' })
    await nodes.reached(a, running)
    const waiting = await nodes.client.create(a, 'auto', { id: 'y' })
    expect(waiting).toMatchObject(QUEUED)
    await a.kill('SIGKILL')
    expect(await nodes.client.get(b, waiting)).toMatchObject(QUEUED)
    await nodes.letGo('y')
    await nodes.letGo('x')
    await expectDone(nodes, b, running, 'x')
    await expectDone(nodes, b, waiting, 'y')
  })

  test('all nodes are killed, and new ones are started', async () => {
    const options = { quotas: [{ tool: 'auto', perPrincipal: true, runsAtOnce: 1 }] }
    await using nodes = await Nodes.start(2, options)
    const [a, b] = nodes.pair
    const [running, waiting] = [
      await nodes.client.create(a, 'auto', { id: 'x' }),
      await nodes.client.create(b, 'auto', { id: 'y' }),
    ]
    expect(waiting).toMatchObject(QUEUED)
    await Promise.all([a.kill('SIGKILL'), b.kill('SIGKILL')])
    const c = await nodes.add(options)
    await nodes.letGo('x')
    await nodes.letGo('y')
    await expectDone(nodes, c, running, 'x')
    await expectDone(nodes, c, waiting, 'y')
  })

  test('50 at once, and a node is killed: never more than may run, and all end', async () => {
    await using nodes = await Nodes.start(2, { quotas: [{ runsAtOnce: 3 }] })
    const [a, b] = nodes.pair
    const ids = Array.from({ length: 50 }, (_, n) => `n${n}`)
    const create = (id: string, n: number) => nodes.client.create(n % 2 ? a : b, 'always', { id })
    const tasks = await Promise.all(ids.map(create))
    const queued = tasks.filter(({ statusMessage }) => statusMessage?.startsWith('Waiting'))
    expect(queued).toHaveLength(47)
    await a.kill('SIGKILL')
    await Promise.all(ids.map((id) => nodes.letGo(id)))
    for (const task of tasks) await nodes.until(b, task, 'completed')
    for (const id of ids) expect([...new Set(await nodes.done(id))]).toEqual(ALL_STEPS)
    expect(await nodes.mostAtOnce()).toBe(3)
  })
})
