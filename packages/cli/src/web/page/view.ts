import type { CallFrame, Sections } from '../wire.js'

export type Known = Partial<Sections>

/** One thing that the page shows. */
export type View = {
  title: string
  element: HTMLElement
  /** The call that it follows. */
  call?: string
  /** `now`: by the clock of the store. */
  show(known: Known, now: number): void
  hear?(frame: CallFrame): void
  refused?(text: string): void
}

export const callLink = (call: string) => `#/call/${call}`
