import { painter } from './paint.js'
import type { Paint } from './paint.js'
import { formatTable } from './table.js'
import type { Column } from './table.js'

/** Where a command writes to: text for people, or JSON. */
export class Output {
  readonly json: boolean
  readonly color: boolean
  readonly paint: Paint
  readonly stream: NodeJS.WriteStream

  constructor(stream: NodeJS.WriteStream, { json, color }: { json: boolean; color: boolean }) {
    this.stream = stream
    this.json = json
    this.color = color
    this.paint = painter(color && !json)
  }

  line(text = '') {
    this.stream.write(`${text}\n`)
  }

  /** One JSON document. */
  document(value: unknown) {
    this.line(JSON.stringify(value, undefined, 2))
  }

  /** One line of JSON Lines. */
  jsonLine(value: unknown) {
    this.line(JSON.stringify(value))
  }

  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]) {
    for (const line of formatTable(columns, rows, this.paint)) this.line(line)
  }

  /** Something beside the point, where it does not mix with what is piped on. */
  note(text: string) {
    process.stderr.write(`${text}\n`)
  }
}
