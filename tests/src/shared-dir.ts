import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_MS = 10

/** What the nodes of one test and the test itself share beside Redis: a ledger of effects, and gates. */
export class SharedDir {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  /** An effect in the world: one line, written at once. */
  record(event: string, detail: string) {
    appendFileSync(join(this.#dir, 'ledger'), `${JSON.stringify({ event, detail, pid: process.pid })}\n`)
  }

  openGate(name: string) {
    writeFileSync(join(this.#dir, `gate-${name}`), '')
  }

  /** Waits until the gate is open; rejects when the signal fires first. An empty name is no gate. */
  async passGate(name: string, signal: AbortSignal) {
    if (name === '') return
    while (!existsSync(join(this.#dir, `gate-${name}`))) {
      await sleep(LOOK_MS, undefined, { signal })
    }
  }
}
