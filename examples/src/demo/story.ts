import { escapeControls } from '@mcp-durable/core/inspect'
import { messageOf } from '../cli.js'

const titleWidth = 42
/** On the slowest of machines. */
const ENDS_WITHIN_MS = 180_000

/** What happens, told line by line, and whether all of it held. After a scene that failed the rest is not played. */
export class Story {
  readonly #started = Date.now()
  readonly #deadline = this.#started + ENDS_WITHIN_MS
  #failed: string | undefined

  /** Plays one scene: it resolves with what was seen, or rejects with what went wrong. */
  async scene(title: string, action: () => Promise<string>): Promise<void> {
    if (this.#failed !== undefined) return
    try {
      this.#tell('✓', title, await this.#inTime(action()))
    } catch (error) {
      this.#failed = title
      this.#tell('✗', title, messageOf(error))
    }
  }

  /** Prints the verdict. True if every scene held. */
  end(): boolean {
    const seconds = this.#seconds()
    if (this.#failed === undefined) console.log(`\nall of it held, in ${seconds} s`)
    else console.log(`\nit did not hold: ${this.#failed}`)
    return this.#failed === undefined
  }

  #tell(mark: string, title: string, seen: string): void {
    console.log(
      `${mark} ${this.#seconds().padStart(5)} s  ${title.padEnd(titleWidth)}  ${escapeControls(seen)}`,
    )
  }

  #seconds(): string {
    return ((Date.now() - this.#started) / 1000).toFixed(1)
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const left = this.#deadline - Date.now()
      timer = setTimeout(() => reject(new Error('did not come to an end in time')), left)
    })
    return Promise.race([work, late]).finally(() => clearTimeout(timer))
  }
}
