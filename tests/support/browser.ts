import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { ensureProgram, waitFor } from '../../test-support/index.js'
import { leashed } from '../../test-support/leash.js'

const ANSWER_MS = 20_000
type Key = { key?: string; code: number; text?: string }
const KEYS = {
  Tab: { code: 9 },
  ShiftTab: { key: 'Tab', code: 9 },
  Enter: { code: 13, text: '\r' },
  Escape: { code: 27 },
} satisfies Record<string, Key>

/** The command of a Chromium, which is installed if it has to be; `undefined` where it can't be. */
export const findBrowser = () =>
  ensureProgram({
    commands: [
      'chromium-headless-shell',
      'chromium',
      'chromium-browser',
      'google-chrome',
      '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    ],
    debian: 'chromium-headless-shell',
  })

type Message = { id?: number; method?: string; params?: Params; result?: Params; error?: { message: string } }
type Params = Record<string, unknown>

/** One page of a headless Chromium, over the pipe of its DevTools protocol. */
export class Page implements AsyncDisposable {
  /** What the console showed as an error, and what was thrown. */
  readonly errors: string[] = []
  /** Every URL that was asked for. */
  readonly requests: string[] = []
  readonly #process: ChildProcess
  readonly #dir: string
  readonly #toBrowser: Writable
  readonly #waiting = new Map<number, (message: Message) => void>()
  readonly #listeners = new Set<(message: Message) => void>()
  #session: string | undefined
  #lastId = 0
  #rest = ''

  private constructor(process: ChildProcess, dir: string) {
    this.#process = process
    this.#dir = dir
    const [, , , toBrowser, fromBrowser] = process.stdio
    this.#toBrowser = toBrowser as Writable
    ;(fromBrowser as Readable).setEncoding('utf8').on('data', (text: string) => this.#read(text))
  }

  static async open(command: string): Promise<Page> {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-browser-'))
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run']
    const process = spawn(command, [...flags, '--remote-debugging-pipe', `--user-data-dir=${dir}`], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    })
    await once(process, 'spawn')
    leashed(process)
    const page = new Page(process, dir)
    const { targetId } = await page.send('Target.createTarget', {
      url: 'about:blank',
      width: 1400,
      height: 900,
    })
    const { sessionId } = await page.send('Target.attachToTarget', { targetId, flatten: true })
    page.#session = String(sessionId)
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`)
    return page
  }

  /** Loads a URL, and resolves when all of it has loaded. */
  async load(url: string) {
    const loaded = this.#next('Page.loadEventFired')
    await this.send('Page.navigate', { url })
    await loaded
  }

  /** The size of the page, in px; as narrow as a phone it is one. */
  async resize(width: number, height: number) {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: width < 500 }
    await this.send('Emulation.setDeviceMetricsOverride', metrics)
  }

  /** What the machine of its user is set to. */
  async prefers(scheme: 'light' | 'dark', motion: 'reduce' | 'no-preference' = 'no-preference') {
    const features = [
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: motion },
    ]
    await this.send('Emulation.setEmulatedMedia', { features })
  }

  /** Keys, as somebody at a keyboard presses them. */
  async press(...names: (keyof typeof KEYS)[]) {
    for (const name of names) {
      const { key = name, code, text } = KEYS[name] as Key
      const event = { key, code: key, windowsVirtualKeyCode: code, modifiers: name === 'ShiftTab' ? 8 : 0 }
      await this.send('Input.dispatchKeyEvent', { ...event, type: 'keyDown', ...(text && { text }) })
      await this.send('Input.dispatchKeyEvent', { ...event, type: 'keyUp' })
    }
  }

  /** Writes into what has the focus. */
  async type(text: string) {
    await this.send('Input.insertText', { text })
  }

  /** Waits until the text of the page matches, and answers with it. */
  shows(wanted: RegExp): Promise<string> {
    const look = async () => {
      const text = await this.evaluate<string>('document.body.innerText')
      if (!wanted.test(text)) throw new Error(text)
      return text
    }
    return waitFor(look, { what: `a page that shows ${wanted}` })
  }

  async picture(file: string) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' })
    await writeFile(file, Buffer.from(String(data), 'base64'))
  }

  /** What an expression comes to in the page; waits for a promise. */
  async evaluate<T>(expression: string): Promise<T> {
    const options = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', options)
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails))
    return (result as { value: T }).value
  }

  send(method: string, params: Params = {}): Promise<Params> {
    const id = ++this.#lastId
    const sessionId = this.#session
    this.#toBrowser.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), ANSWER_MS)
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(timer)
        if (error) reject(new Error(`${method}: ${error.message}`))
        else resolve(result ?? {})
      })
    })
  }

  async [Symbol.asyncDispose]() {
    this.#process.kill('SIGKILL')
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, 'exit')
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 })
  }

  #next(method: string): Promise<void> {
    return new Promise((resolve) => {
      const listen = (message: Message) => {
        if (message.method !== method) return
        this.#listeners.delete(listen)
        resolve()
      }
      this.#listeners.add(listen)
    })
  }

  #read(text: string) {
    const messages = (this.#rest + text).split('\0')
    this.#rest = messages.pop() ?? ''
    for (const message of messages) this.#hear(JSON.parse(message) as Message)
  }

  #hear(message: Message) {
    if (message.id !== undefined) {
      this.#waiting.get(message.id)?.(message)
      this.#waiting.delete(message.id)
      return
    }
    this.#note(message)
    for (const listener of this.#listeners) listener(message)
  }

  #note({ method, params = {} }: Message) {
    const { entry, request } = params as { entry?: { level: string }; request?: { url: string } }
    if (method === 'Network.requestWillBeSent') this.requests.push(request?.url ?? '')
    const isError =
      method === 'Runtime.exceptionThrown' ||
      (method === 'Runtime.consoleAPICalled' && params['type'] === 'error') ||
      (method === 'Log.entryAdded' && entry?.level === 'error')
    if (isError) this.errors.push(JSON.stringify(params))
  }
}
