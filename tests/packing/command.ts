import { expect } from 'vitest'
import { waitFor } from '../../test-support/index.js'
import { TestClient } from '../support/client.js'
import { Router } from '../support/router.js'
import type { Command, Project } from './project.js'

const MAIN = 'node_modules/@mcp-durable/cli/dist/main.js'
/** What was killed counts for its lease. */
const LEASE = { intervalMs: 1000 }

/** The command `mcp-durable`, as a runtime that is not Node.js runs it. */
export class CommandOn {
  readonly #project: Project
  readonly #run: Command

  constructor(project: Project, run: Command) {
    this.#project = project
    this.#run = run
  }

  /**
   * Two proxies before a server of stdio are killed: one in the middle of a call, which the second one finishes; and that when a
   * third one is yet to start, which serves the session.
   */
  async expectProxiesToHandOver(...store: string[]) {
    await this.#project.copy('stdio.mjs')
    const proxy = () =>
      this.#start('proxy', ...store, '--port', '0', '--stdio', '--', ...this.#run, 'stdio.mjs')
    await using first = await proxy()
    await using second = await proxy()
    await using router = await Router.start({ name: 'first', url: first.url })
    await using client = await TestClient.connect(1, router)
    let killed: Promise<unknown> | undefined
    const onprogress = () => {
      router.others({ name: 'second', url: second.url })
      killed ??= first.kill('SIGKILL')
    }
    const [content] = await client.api.callTool('look', { item: 'tea' }, { onprogress })
    await killed
    const { data } = await client.tap.events.first((event) => event.data.includes('looked at by'))
    const [dead] = /(?<=looked at by )\d+/.exec(data) ?? []
    expect(content?.text).toMatch(/^tea, seen by \d+$/)
    expect(content?.text).not.toContain(dead)
    await waitFor(() => !isAlive(Number(dead)), { what: 'the end of what the killed proxy had started' })
    await second.kill('SIGKILL')
    await using third = await proxy()
    router.others({ name: 'third', url: third.url })
    expect(await client.api.listTools()).toEqual(['look'])
  }

  /** In `file` is the call of `code`, ended, and it is moved to another store in the end. */
  async expectToLookAndMove(file: string, code: string, to: string[]) {
    const here = ['--sqlite', file]
    const [session = ''] = await this.#sessions(here)
    type Entry = { call?: string }
    const { history } = await this.#json<{ history: Entry[] }>('session', session, ...here)
    const call = history.find((entry) => entry.call !== undefined)?.call ?? ''
    expect(await this.#out('call', call, ...here)).toContain('tools/call order')
    expect(await this.#out('export', call, ...here)).toContain('"source":"record"')
    const tried = await this.#json('replay', call, '--code', code, ...here)
    expect(tried).toMatchObject({ calls: [{ verdict: 'fits', end: 'result', sameResult: true }] })
    expect(await this.#out('monitor', '--count', '1', ...here)).toContain('1 session, 0 open calls')
    await using page = await this.#start('monitor', '--web', '--port', '0', ...here)
    expect(await (await fetch(page.url)).text()).toContain('<!doctype html>')
    const [redis = '', prefix = ''] = to
    const move = ['migrate', '--from', `sqlite:${file}`, '--to', redis, '--prefix', prefix]
    expect(await waitFor(() => this.#out(...move), LEASE)).toContain('moved 1 session')
    const there = ['--redis', redis, '--prefix', prefix]
    expect(await this.#sessions(there)).toEqual([session])
    // A replica for each master is what a Cluster of a test lacks.
    await expect(this.#out('doctor', ...there)).rejects.toThrow(/ok {4}.*\n[^]*RISK/)
  }

  async #sessions(store: string[]): Promise<string[]> {
    const { sessions } = await this.#json<{ sessions: { id: string }[] }>('sessions', ...store)
    return sessions.map(({ id }) => id)
  }

  #start(...args: string[]) {
    return this.#project.start([...this.#run, MAIN, ...args])
  }

  #out(...args: string[]): Promise<string> {
    return this.#project.run([...this.#run, MAIN, ...args])
  }

  async #json<T = unknown>(...args: string[]): Promise<T> {
    return JSON.parse(await this.#out(...args, '--json', '--full-ids')) as T
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
