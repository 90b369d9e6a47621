import { readFileSync } from 'node:fs'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { spawnNode, startRedis, type NodeProcess, type RedisServer } from '../../test-support/index.js'

const frameworks = ['hono', 'express'] as const
const MOST_CHANGED = 15

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis[Symbol.asyncDispose]())

for (const framework of frameworks) {
  test.each(['README.md', 'docs/migrating.md'])(
    `the diff for ${framework} in %s is that of the files`,
    (doc) => {
      const diff = diffOf(read(`../../${doc}`), framework)
      const before = read(`../src/migrating/${framework}-before.ts`)
      expect(patched(before, diff)).toBe(read(`../src/migrating/${framework}-after.ts`))
      const changed = diff.split('\n').filter((line) => /^[+-]/.test(line) && line.length > 1)
      expect(changed.length).toBeLessThanOrEqual(MOST_CHANGED)
    },
  )

  test(`the whole of ${framework}-done.ts is in docs/migrating.md`, () => {
    expect(read('../../docs/migrating.md')).toContain(read(`../src/migrating/${framework}-done.ts`).trim())
  })

  test(`${framework}: with a Map another process does not know the session`, async () => {
    await using session = await Session.begin(`${framework}-before`)
    expect(await session.add(2, 3)).toBe('5')
    await expect(session.addElsewhere(2, 3)).rejects.toThrow(/No such session/)
  })

  test.each(['after', 'done'])(
    `${framework}: %s, another process goes on when one is killed`,
    async (which) => {
      await using session = await Session.begin(`${framework}-${which}`)
      expect(await session.add(2, 3)).toBe('5')
      await session.node.kill('SIGKILL')
      expect(await session.addElsewhere(2, 3)).toBe('5')
    },
  )
}

/** An official client that began its session on one of two processes of the same program. */
class Session implements AsyncDisposable {
  readonly #clients: Client[] = []
  readonly #sessionId: string

  private constructor(
    readonly node: NodeProcess,
    readonly other: NodeProcess,
    client: Client,
  ) {
    this.#clients.push(client)
    this.#sessionId = client.transport?.sessionId ?? ''
  }

  static async begin(program: string): Promise<Session> {
    const env = { PORT: '0', REDIS_URL: redis.url }
    const file = `examples/dist/migrating/${program}.js`
    const [node, other] = await Promise.all([spawnNode(file, [], { env }), spawnNode(file, [], { env })])
    return new Session(node, other, await connect(node))
  }

  add(a: number, b: number) {
    return add(this.#clients[0]!, a, b)
  }

  async addElsewhere(a: number, b: number) {
    const client = await connect(this.other, this.#sessionId)
    this.#clients.push(client)
    return add(client, a, b)
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.#clients.map((client) => client.close()))
    await Promise.all([this.node.kill('SIGKILL'), this.other.kill('SIGKILL')])
  }
}

/** With a session id it goes on with that session, without a new `initialize`. */
async function connect({ url }: NodeProcess, sessionId?: string): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' })
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', url), {
    ...(sessionId && { sessionId }),
  })
  await client.connect(transport)
  return client
}

async function add(client: Client, a: number, b: number) {
  const { content } = await client.callTool({ name: 'add', arguments: { a, b } })
  return (content as { text: string }[])[0]?.text
}

function read(path: string) {
  return readFileSync(new URL(path, import.meta.url), 'utf8')
}

/** The diff of a document that mounts the adapter of the framework. */
function diffOf(text: string, framework: string): string {
  const blocks = [...text.matchAll(/```diff\n(.*?)```/gs)].map(([, code = '']) => code)
  const found = blocks.filter((code) => code.includes(`@mcp-durable/core/${framework}'`))
  expect(found).toHaveLength(1)
  return found[0]!
}

/** Applies the hunks of a diff, each of which must fit where the one before it has ended, or later. */
function patched(text: string, diff: string): string {
  let rest = `\n${text}`
  let done = ''
  for (const hunk of diff.split(/^@@.*\n/m)) {
    const lines = hunk.split('\n').filter((line) => line !== '')
    const side = (mark: string) =>
      lines
        .filter((line) => line.startsWith(' ') || line.startsWith(mark))
        .map((line) => `\n${line.slice(1)}`)
        .join('')
    const old = `${side('-')}\n`
    const at = rest.indexOf(old)
    expect(at, `not in the file:${old}`).toBeGreaterThanOrEqual(0)
    done += rest.slice(0, at) + side('+')
    rest = rest.slice(at + old.length - 1)
  }
  return (done + rest).slice(1)
}
