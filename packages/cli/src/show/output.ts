import { render } from './line.js'
import type { Line } from './line.js'
import { formatTable } from './table.js'
import type { Column } from './table.js'

export type OutputOptions = { json: boolean; color: boolean }

/** Where a command writes to: text for people, or JSON. */
export class Output {
  readonly json: boolean
  readonly color: boolean
  readonly stream = process.stdout

  constructor({ json, color }: OutputOptions) {
    this.json = json
    this.color = color && !json
  }

  line(...line: Line) {
    this.#write(this.stream, [line])
  }

  /** One JSON document. */
  document(value: unknown) {
    const lines = JSON.stringify(value, undefined, 2).split('\n')
    this.#write(
      this.stream,
      lines.map((line) => [line]),
    )
  }

  /** One line of JSON Lines. */
  jsonLine(value: unknown) {
    this.line(JSON.stringify(value))
  }

  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]) {
    this.#write(this.stream, formatTable(columns, rows))
  }

  /** Something beside the point, where it does not mix with what is piped on. */
  note(...lines: readonly string[]) {
    this.#write(
      process.stderr,
      lines.map((line) => [line]),
    )
  }

  #write(stream: NodeJS.WriteStream, lines: readonly Line[]) {
    stream.write(lines.map((line) => `${render(line, this)}\n`).join(''))
  }
}
