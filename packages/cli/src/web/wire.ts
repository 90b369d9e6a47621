// What the server of the page and its script tell each other. Times are ms since 1970 by the clock of the store; texts are shown as they
// are: ids shortened, payloads masked, and what might act escaped.

/** What a text means, as the colours of the terminal do. */
export type Tone = 'good' | 'warn' | 'bad' | 'name' | 'mark' | 'dim' | 'plain'

/** Of one moment. */
export type Head = {
  now: number
  where: string
  /** Calls may be acted on. */
  acts: boolean
  /** Payloads are shown. */
  payloads: boolean
  nodes: number
  sessions: number
  calls: number
  tasks: number
  callsPerSecond: number
  recordsPerSecond: number
  /** Since the monitor began. */
  takeovers: number
  /** Why it is not of now. */
  problem: string | null
}

export type NodeRow = {
  node: string
  place: string
  version: string
  state: 'alive' | 'late' | 'gone'
  /** `null`: never heard. */
  beatAt: number | null
  startedAt: number | null
  calls: number
  scopes: number
}

/** `call`: what the server knows it by. `id`: what it is called. */
export type CallName = { call: string; id: string }

export type OpenCallRow = CallName & {
  title: string
  version: string
  isTask: boolean
  status: string
  tone: Tone
  session: string
  owner: string
  openedAt: number
  attempt: number
  last: string
  lastAt: number
}

/** `session`: what the server knows it by. */
export type SessionRow = {
  session: string
  id: string
  status: string
  tone: Tone
  client: string
  protocol: string
  principal: string
  openCalls: number
  events: number
  createdAt: number | null
  endsAt: number
}

export type TakeoverRow = CallName & { at: number; title: string; to: string; from: string }

/** Parts of the overview, each sent when it has changed. */
export type Sections = {
  head: Head
  nodes: NodeRow[]
  calls: OpenCallRow[]
  sessions: SessionRow[]
  takeovers: TakeoverRow[]
}

/** A call that was searched for. */
export type FoundCall = CallName & {
  title: string
  version: string
  isTask: boolean
  status: string
  tone: Tone
  session: string
  principal: string
  owner: string
  openedAt: number
  endedAt: number | null
  attempt: number
  last: string
}

/** `looked`: at how many journals; `more`: there may be others. */
export type Found = { now: number; calls: FoundCall[]; total: number; looked: number; more: boolean }

/** What a call did, and when. `to`: `null` while it goes on. */
export type Bar = { from: number; to: number | null; tone: Tone; text: string }
/** Something that took no time. */
export type Mark = { at: number; tone: Tone; text: string }
/** `step`: what it is forked from by; `null` for what is no step. */
export type Lane = {
  kind: 'run' | 'step' | 'question' | 'message'
  name: string
  step: string | null
  bars: Bar[]
  marks: Mark[]
  /** How many of these are not kept any more. */
  left: number
}

/** `run`: from here on; 0 where it goes on. */
export type EventRow = { at: number; run: number; text: string; tone: Tone; payload: string }

export type CallHead = CallName & {
  now: number
  title: string
  /** Of the code that has run it last; `''`: it has none. So in the rows. */
  version: string
  isTask: boolean
  status: string
  tone: Tone
  session: string
  protocol: string
  principal: string
  owner: string
  openedAt: number
  endedAt: number | null
  wakesAt: number | null
  runs: number
  /** The call that it was made of, or that was made of it. */
  kin: Array<CallName & { text: string }>
  /** What may be done to it. */
  actions: Action[]
  /** Why it is not of now, or not there any more. */
  problem: string | null
}

/** `events`: those that are new; all that are kept, if `first`. `left`: older ones that are not sent, or lanes. */
export type CallFrame = {
  first: boolean
  head: CallHead
  lanes: Lane[]
  lanesLeft: number
  events: EventRow[]
  eventsLeft: number
}

/** A call of a session, open or ended. */
export type SessionCallRow = CallName & {
  title: string
  isTask: boolean
  status: string
  tone: Tone
  owner: string
  openedAt: number
  endedAt: number | null
  attempt: number
}

export type SessionHead = {
  now: number
  id: string
  status: string
  tone: Tone
  client: string
  protocol: string
  principal: string
  createdAt: number | null
  endsAt: number
  /** Messages that its standalone stream holds; and whether some of them were written to no socket yet. */
  standalone: number
  undelivered: boolean
  /** That have run something of it. */
  nodes: string[]
  calls: SessionCallRow[]
  callsLeft: number
  /** Why it is not of now, or not there any more. */
  problem: string | null
}

/** `call`: the one that it is of, if it is of one. */
export type SessionEventRow = {
  at: number
  source: string
  call: string
  text: string
  tone: Tone
  payload: string
}

/** As of a call. */
export type SessionFrame = {
  first: boolean
  head: SessionHead
  events: SessionEventRow[]
  eventsLeft: number
}

export type Action = 'cancel' | 'resume' | 'retry' | 'fork'
/** `step`: of a fork. `repeat`: also what may have had its effect already. */
export type Act = { action: Action; call: string; step?: string; repeat?: boolean; reason?: string }
/** `repeats`: nothing was done; it may be, with `repeat`. `call`: that was made. */
export type Acted = { ok: boolean; text: string; repeats?: boolean; call?: string }
