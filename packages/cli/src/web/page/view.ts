import type { CallFrame, Sections, SessionFrame } from '../wire.js'

export type Known = Partial<Sections>

/** `name`: what the server knows it by. */
export type Followed = { kind: 'call' | 'session'; name: string }

/** One thing that the page shows. */
export type View = {
  title: string
  element: HTMLElement
  /** What it shows as it goes on. */
  follows?: Followed
  /** `now`: by the clock of the store. */
  show(known: Known, now: number): void
  hear?(frame: CallFrame): void
  hearSession?(frame: SessionFrame): void
  refused?(text: string): void
}

export const sessionLink = (session: string) => `#/session/${session}`
export const callLink = (call: string) => `#/call/${call}`
