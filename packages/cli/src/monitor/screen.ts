import { emitKeypressEvents } from 'node:readline'
import type { ReadStream } from 'node:tty'
import { render } from '../show/line.js'
import type { Line } from '../show/line.js'
import type { Output } from '../show/output.js'

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
  readonly #output: Output
  #drawn: string[] = []
  #size: Size
  #closed = false

  constructor(
    input: ReadStream,
    output: Output,
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
    output.stream.on('resize', () => {
      this.#size = this.#measure()
      this.#drawn = []
      output.stream.write(CLEAR)
      listeners.resized()
    })
    output.stream.write(ENTER + CLEAR)
    process.once('exit', this.close)
  }

  get size(): Size {
    return this.#size
  }

  /** `lines` are as wide as the screen at most; those beyond its height are left out. */
  draw(lines: readonly Line[]) {
    if (this.#closed) return
    const rows = Array.from({ length: this.#size.rows }, (_, row) => render(lines[row] ?? [], this.#output))
    const changed = rows.flatMap((line, row) =>
      line === this.#drawn[row] ? [] : [`${ESC}${row + 1};1H${line}${REST_OF_LINE}`],
    )
    this.#drawn = rows
    if (changed.length > 0) this.#output.stream.write(changed.join(''))
  }

  readonly close = () => {
    if (this.#closed) return
    this.#closed = true
    process.off('exit', this.close)
    this.#input.setRawMode(false)
    this.#input.pause()
    this.#output.stream.write(LEAVE)
  }

  #measure(): Size {
    return { columns: this.#output.stream.columns || 80, rows: this.#output.stream.rows || 24 }
  }
}
