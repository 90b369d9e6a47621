import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { Child } from './child.js'
import { installPackage, works } from './install.js'
import { waitFor } from './wait-for.js'

const exec = promisify(execFile)

export interface TerminalOptions {
  columns: number
  rows: number
  env?: Record<string, string>
}

const HOW_TO_GET_IT = `No tmux found, and none could be installed.
Install it (Debian, Ubuntu: sudo apt-get install tmux; macOS: brew install tmux) and run again.
The tests of the monitor need it; they don't run without.`

/** A real terminal of a size of one's own, with a command in it: a server of tmux that one test owns. */
export class Terminal implements AsyncDisposable {
  readonly #server: Child
  readonly #dir: string

  private constructor(server: Child, dir: string) {
    this.#server = server
    this.#dir = dir
  }

  /** Runs the command; when it has ended, the terminal says `ended with <code>`, and stays. */
  static async start(
    command: readonly string[],
    { columns, rows, env = {} }: TerminalOptions,
  ): Promise<Terminal> {
    await ensureTmux()
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-terminal-'))
    const server = await Child.spawn('tmux', ['-S', join(dir, 'socket'), '-f', '/dev/null', '-D'], {
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
    const terminal = new Terminal(server, dir)
    const variables = Object.entries({ ...env, LC_ALL: 'C.UTF-8' }).map(([name, value]) =>
      quote(`${name}=${value}`),
    )
    const line = ['env', ...variables, ...command.map(quote)].join(' ')
    const shell = `${line}; echo "ended with $?"; exec sleep 86400`
    const size = ['-x', String(columns), '-y', String(rows)]
    try {
      await waitFor(() => terminal.#tmux('new-session', '-d', ...size, shell).then(() => true), {
        what: 'tmux',
      })
      return terminal
    } catch (error) {
      await terminal[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What is on the screen: as many lines as it has. */
  async screen(): Promise<string> {
    return this.#tmux('capture-pane', '-p')
  }

  /** The same with its colours, as escape sequences. */
  async colored(): Promise<string> {
    return this.#tmux('capture-pane', '-p', '-e')
  }

  /** Presses keys, named as tmux does: `Enter`, `Tab`, `Escape`, `Up`, or a character. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys)
  }

  /** Types a text, as it is. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', '--', text)
  }

  /** Writes every byte that the terminal gets from now on to a file. */
  async record(file: string): Promise<void> {
    await this.#tmux('pipe-pane', '-o', `cat > ${quote(file)}`)
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows))
  }

  /** Waits until the screen shows something, and resolves to the screen. */
  async shows(wanted: string | RegExp, timeoutMs = 60_000): Promise<string> {
    const matches = (screen: string) =>
      typeof wanted === 'string' ? screen.includes(wanted) : wanted.test(screen)
    let last = ''
    const look = async () => {
      last = await this.screen()
      return matches(last) && last
    }
    return waitFor(look, { timeoutMs, intervalMs: 50, what: `${String(wanted)} on the screen` }).catch(
      (error: unknown) => {
        throw new Error(`${String(wanted)} did not come on the screen. It shows:\n${last}`, { cause: error })
      },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux('kill-server').catch(() => undefined)
    await this.#server[Symbol.asyncDispose]()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #tmux(...args: string[]): Promise<string> {
    const env = { ...process.env, LC_ALL: 'C.UTF-8' }
    const { stdout } = await exec('tmux', ['-u', '-S', join(this.#dir, 'socket'), ...args], { env })
    return stdout
  }
}

async function ensureTmux(): Promise<void> {
  if (await works('tmux', '-V')) return
  await installPackage({ debian: 'tmux', brew: 'tmux' }).catch(() => undefined)
  if (!(await works('tmux', '-V'))) throw new Error(HOW_TO_GET_IT)
}

const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`
