import { emitKeypressEvents } from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'

export type Key = { name: string; ctrl: boolean; shift: boolean; text: string }
export type Size = { columns: number; rows: number }

const ESC = '\u001B['
const ENTER = `${ESC}?1049h${ESC}?25l`
const LEAVE = `${ESC}?25h${ESC}?1049l`
const CLEAR = `${ESC}2J`
const REST_OF_LINE = `${ESC}K`

/** The whole terminal, drawn line by line: only lines that changed are written. It is put back as it was at the end. */
export class Screen {
  readonly #input: ReadStream
  readonly #output: WriteStream
  #drawn: string[] = []
  #size: Size
  #closed = false

  constructor(
    input: ReadStream,
    output: WriteStream,
    listeners: { key: (key: Key) => void; resized: () => void },
  ) {
    this.#input = input
    this.#output = output
    this.#size = this.#measure()
    emitKeypressEvents(input)
    input.setRawMode(true)
    input.on('keypress', (text: string | undefined, key: Partial<Key> & { sequence?: string }) => {
      listeners.key({
        name: key.name ?? text ?? '',
        ctrl: key.ctrl ?? false,
        shift: key.shift ?? false,
        text: text ?? '',
      })
    })
    output.on('resize', () => {
      this.#size = this.#measure()
      this.#drawn = []
      output.write(CLEAR)
      listeners.resized()
    })
    output.write(ENTER + CLEAR)
    process.once('exit', this.close)
  }

  get size(): Size {
    return this.#size
  }

  /** `lines` are as wide as the screen at most; those beyond its height are left out. */
  draw(lines: readonly string[]) {
    if (this.#closed) return
    const rows = Array.from({ length: this.#size.rows }, (_, row) => lines[row] ?? '')
    const changed = rows.flatMap((line, row) =>
      line === this.#drawn[row] ? [] : [`${ESC}${row + 1};1H${line}${REST_OF_LINE}`],
    )
    this.#drawn = rows
    if (changed.length > 0) this.#output.write(changed.join(''))
  }

  readonly close = () => {
    if (this.#closed) return
    this.#closed = true
    process.off('exit', this.close)
    this.#input.setRawMode(false)
    this.#input.pause()
    this.#output.write(LEAVE)
  }

  #measure(): Size {
    return { columns: this.#output.columns || 80, rows: this.#output.rows || 24 }
  }
}
