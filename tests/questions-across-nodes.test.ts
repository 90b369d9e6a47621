import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { majors, systems, type Major, type TestClient } from './support/client.js'
import { Deferred } from './support/deferred.js'
import { System } from './support/system.js'

// Part 5 of issue 2, towards the server: the tool runs on a, the client's stream is on c, and what the client sends
// arrives on b.

const kinds = ['elicitation', 'sampling', 'roots'] as const
const ids = { elicitation: '[X-3]', sampling: '[X-4]', roots: '[X-5]' }
const answers = { elicitation: 'accept', sampling: 'said it', roots: 'file:///root' }

describe.each(systems)('SDK %i.x, %s', (sdk, host) => {
  let system: System
  beforeAll(async () => void (system = await System.start({ sdk, host, nodes: 3 })))
  afterAll(() => system[Symbol.asyncDispose]())

  async function clientOn(major: Major): Promise<TestClient> {
    const [a, b, c] = system.abc
    const router = await system.router(a)
    router.route(
      b,
      'answer',
      'notifications/progress',
      'notifications/cancelled',
      'notifications/roots/list_changed',
    )
    return system.client(major, router.route(c, 'GET', 'resume'))
  }

  const cases = majors.flatMap((major) => kinds.map((kind) => ({ major, kind, id: ids[kind] })))
  describe.each(cases)('client $major: $id $kind', ({ major, kind }) => {
    test.each(['ask', 'ask-unrelated'])('by %s, answered on another node', async (tool) => {
      const [a, b] = system.abc
      // Of a server behind HTTP, a question that is related to no call comes on the standalone stream.
      const client = await (await clientOn(major)).listens()

      const { text, pid } = await client.call(tool, { kind })

      expect(pid).toBe(system.toolsOf(a))
      expect(text).toContain(answers[kind])
      expect(client.router.nodesOf('answer')).toEqual([b.name])
      expect(client.questions.items).toHaveLength(1)
    })

    test('asked on a stream that was resumed on a third node', async () => {
      const [a, b, c] = system.abc
      const client = await clientOn(major)
      const answer = new Deferred()
      const respond = client.answer
      client.answer = async (question) => {
        await answer.promise
        return respond(question)
      }

      const asking = client.call('ask', { kind })
      await client.questions.first(() => true)
      client.router.cut('tools/call')
      await client.router.answered('resume')
      answer.resolve()

      expect((await asking).text).toContain(answers[kind])
      expect((await asking).pid).toBe(system.toolsOf(a))
      expect(client.router.nodesOf('answer')).toEqual([b.name])
      expect(client.router.nodesOf('resume')).toEqual([c.name])
      expect(client.questions.items).toHaveLength(1)
    })
  })

  test.each(majors)(
    'client %i.x: [X-4] many questions of both nodes at once keep their answers',
    async (major) => {
      const [a, b] = system.abc
      const client = await system.client(major, await system.router(a, b))
      const texts = Array.from({ length: 40 }, (_, index) => `text ${index}.`)

      const results = await Promise.all(texts.map((text) => client.call('ask', { kind: 'sampling', text })))

      for (const [index, { text }] of results.entries()) expect(text).toContain(`said ${texts[index]}`)
      expect(new Set(results.map(({ pid }) => pid))).toEqual(
        new Set([a, b].map((node) => system.toolsOf(node))),
      )
      expect(client.questions.items).toHaveLength(texts.length)
    },
  )

  test.each(majors)('client %i.x: [X-15] a question of no call', async (major) => {
    const [a, b, c] = system.abc
    const client = await (await clientOn(major)).listens()
    const gate = `ask-later-${major}`

    await client.call('ask-later', { kind: 'roots', gate })
    await system.openGate(gate)
    const { pid, detail } = await system.recorded(`answered ${gate}`)

    expect(pid).toBe(system.toolsOf(a))
    expect(detail).toContain('file:///root')
    expect(client.router.nodesOf('GET')).toEqual([c.name])
    expect(client.router.nodesOf('answer')).toEqual([b.name])
    expect(client.questions.items).toHaveLength(1)
  })

  test.each(majors)('client %i.x: [X-7] client progress on a question', async (major) => {
    const [a, b] = system.abc
    const client = await clientOn(major)
    const respond = client.answer
    client.answer = async (question) => {
      for (const step of [1, 2, 3]) await question.progress(step)
      return respond(question)
    }

    const { text, pid } = await client.call('ask')

    expect(pid).toBe(system.toolsOf(a))
    expect(JSON.parse(text)).toMatchObject({ answer: { action: 'accept' }, progress: [1, 2, 3] })
    expect(client.router.nodesOf('notifications/progress')).toEqual([b.name])
  })

  test.each(majors)('client %i.x: [X-7] progress and answer that reach the tool together', async (major) => {
    const [a, b] = system.abc
    const client = await clientOn(major)
    const respond = client.answer
    client.answer = async (question) => {
      // The node does nothing while they arrive, and finds all of them afterwards.
      a.pause()
      for (const step of [1, 2, 3]) await question.progress(step)
      return respond(question)
    }

    const asking = client.call('ask')
    await client.router.answered('answer')
    a.resume()

    expect(JSON.parse((await asking).text)).toMatchObject({
      answer: { action: 'accept' },
      progress: [1, 2, 3],
    })
    expect(client.router.nodesOf('answer')).toEqual([b.name])
  })

  test.each(majors)('client %i.x: [X-6] notifications/cancelled', async (major) => {
    const [a, b] = system.abc
    const client = await clientOn(major)
    const name = `hang-${sdk}-${major}`
    const stop = new AbortController()

    const hanging = client.call('hang', { name }, { signal: stop.signal })
    await system.recorded('hanging', name)
    stop.abort('enough')
    await expect(hanging).rejects.toThrow(/enough|abort/i)
    const { pid } = await system.recorded('aborted', name)

    expect(pid).toBe(system.toolsOf(a))
    expect(client.router.nodesOf('notifications/cancelled')).toEqual([b.name])
  })

  test.each(majors)('client %i.x: [X-9] roots/list_changed', async (major) => {
    const [, b, c] = system.abc
    const client = await clientOn(major)
    const seen = async () => JSON.parse((await client.call('seen')).text) as unknown
    expect(await seen()).toMatchObject({ initialized: 1, rootsChanged: 0 })

    await client.api.rootsChanged()

    expect(await seen()).toMatchObject({ rootsChanged: 1 })
    client.router.others(c)
    expect(await seen()).toMatchObject({ initialized: 1, rootsChanged: 1 })
    expect(client.router.nodesOf('notifications/roots/list_changed')).toEqual([b.name])
  })
})
