import type { StoreErrorCode } from '../errors.js'
import type { JsonRpcResponse } from '../json-rpc.js'

/**
 * What can be listened to, by name. An event without `Begun` or `Opened` in its name comes when the thing is over.
 *
 * A `sessionId` is what handlers are told as `extra.sessionId`: it names the session, and nobody can use the session with it.
 * `undefined` where a call belongs to no session (2026-07-28). Payloads are in no event.
 */
export type Events = {
  /** An HTTP request was answered; a stream that its answer opens goes on. */
  request: { httpMethod: string; status: number; durationMs: number }
  sessionBegun: { sessionId: string; protocolVersion: string }
  /** Its client has deleted it, through this node. Sessions that expire are not told of. */
  sessionEnded: { sessionId: string }
  /** A handler is about to run. */
  callBegun: Run
  /** The answer is where the client will find it, or there will be none by this node. */
  call: Run & {
    outcome: CallOutcome
    /** Of a JSON-RPC error. */
    errorCode: number | undefined
    /** Since the request was received; of a call that was taken over, since it was run again. */
    durationMs: number
  }
  /** A step of a durable handler has run. Steps that are found ended are not told of. */
  step: Run & { step: string; outcome: StepOutcome; durationMs: number }
  /** A call of a node that is gone is this node's now. */
  takeover: {
    sessionId: string | undefined
    callId: string
    /** Of the run that follows, where one does. */
    attempt: number
    outcome: TakeoverOutcome
    durationMs: number
  }
  /** The store refused to let this node write to a call that another one has taken over. */
  fenced: { sessionId: string | undefined; callId: string }
  /** A server object was made for a session that this node had none for. */
  rebuild: { sessionId: string; outcome: 'done' | 'failed'; durationMs: number }
  streamOpened: Stream
  streamClosed: Stream & { durationMs: number }
  /** A stream was resumed: how many events were there already that its client had missed. */
  replayed: { sessionId: string | undefined; stream: Stream['stream']; events: number }
  /** One operation of the store. */
  storeOperation: { operation: string; error: StoreErrorCode | 'unknown' | undefined; durationMs: number }
}

/** One run of a request of the client on this node. */
export type Run = {
  sessionId: string | undefined
  /** That the request is in; `undefined` while a session begins. */
  protocolVersion: string | undefined
  /** As handlers see it in `extra.requestId`. */
  callId: string
  method: string
  /** The name of the tool or prompt. The client chose it: it need not exist. */
  name: string | undefined
  /** Whether the server object here has that tool or prompt; `undefined` where that can't be seen, as behind `handler` and `upstream`. */
  isRegistered?: boolean | undefined
  /** 1, and one more with each takeover. */
  attempt: number
}

/**
 * `tool-error`: a result with `isError`. `error`: a JSON-RPC error. `cancelled`: by the client. `moved`: the call goes on at
 * another node, or its session is gone.
 */
export type CallOutcome = 'ok' | 'tool-error' | 'error' | 'cancelled' | 'moved'
/** How a call came out. */
export type CallEnding = Pick<Events['call'], 'outcome' | 'errorCode'>

export function endingOf(response: JsonRpcResponse): CallEnding {
  if ('error' in response) return { outcome: 'error', errorCode: response.error.code }
  return { outcome: response.result['isError'] === true ? 'tool-error' : 'ok', errorCode: undefined }
}

/** `stopped`: its call was cancelled or has moved, and the step is not recorded. */
export type StepOutcome = 'done' | 'failed' | 'stopped'
/**
 * `run`: it runs again. `unknown`: that may not be, so it has ended with the word that its outcome is unknown. `gave-up`: it
 * was begun `maxAttempts` times. `gone`: its session is. `returned`: this node can't run it, and gives it to another.
 * `parked`: it fits the code of no node that has tried it.
 */
export type TakeoverOutcome = 'run' | 'unknown' | 'gave-up' | 'gone' | 'returned' | 'parked'

export type Stream = {
  sessionId: string | undefined
  /** `listen`: of `subscriptions/listen`. */
  stream: 'call' | 'standalone' | 'listen'
  /** The client came with a `Last-Event-ID`. */
  resumed: boolean
}

/**
 * Called at once, in the middle of the work: what takes long belongs elsewhere. What a hook throws is logged and changes
 * nothing; its promise is not waited for.
 */
export type Hooks = { readonly [Name in keyof Events]?: (event: Events[Name]) => unknown }

export const EVENTS = Object.keys({
  request: true,
  sessionBegun: true,
  sessionEnded: true,
  callBegun: true,
  call: true,
  step: true,
  takeover: true,
  fenced: true,
  rebuild: true,
  streamOpened: true,
  streamClosed: true,
  replayed: true,
  storeOperation: true,
} satisfies Record<keyof Events, true>) as readonly (keyof Events)[]
