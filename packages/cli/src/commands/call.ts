import { CallLog, partingOf } from '@mcp-durable/core/inspect'
import type { CallEvent, CallTimeline } from '@mcp-durable/core/inspect'
import type { Command } from '../command.js'
import { readNodeNames } from '../look/node-names.js'
import { resolveCall } from '../look/resolve.js'
import { eventJson, stepName, tell } from '../show/call-events.js'
import { styled } from '../show/line.js'
import type { Line } from '../show/line.js'
import type { Showing } from '../show/session-events.js'
import { count, padEnd, padStart, span } from '../show/text.js'

export const call: Command = {
  name: 'call',
  args: 'ID',
  arity: [1, 1],
  summary: 'the journal of a call as a timeline: runs, takeovers, steps, questions and answers',
  details:
    'A run begins by the clock of the store, so times compare across nodes. Answers are kept until the call has ended;\n' +
    'after that, the end of the step that asked tells when it had its answer.',
  async run(context) {
    const { output, privacy } = context
    const { inspect } = await context.connect()
    const place = await resolveCall(inspect, context.arg(0), privacy)
    const log = new CallLog(inspect, place)
    const [events, inspected, nodeName, now] = await Promise.all([
      log.read(),
      inspect.calls.read(place),
      readNodeNames(inspect, privacy),
      inspect.nodes.clock(),
    ])
    const whose = inspected?.principal === undefined ? undefined : privacy.id(inspected.principal)
    const session = inspected?.inSession === false ? undefined : privacy.id(place.scope)
    const { timeline } = log
    if (output.json) {
      return output.document({
        call: privacy.id(place.callId),
        session,
        protocol: inspected?.protocolVersion,
        principal: whose,
        title: timeline.title,
        version: timeline.version,
        status: timeline.status,
        outcome: timeline.outcome,
        divergence: timeline.divergence,
        openedAt: timeline.openedAt,
        endedAt: timeline.endedAt,
        ms: (timeline.endedAt ?? now) - timeline.openedAt,
        attempts: timeline.attempts.map(({ node, ...attempt }) => ({ node: privacy.id(node), ...attempt })),
        steps: [...timeline.steps.values()].map(({ key, ...step }) => ({
          ...step,
          key: key === undefined ? undefined : privacy.key(key),
        })),
        events: events.map((event) => eventJson(event, privacy)),
      })
    }
    output.line('call ', styled('bold', privacy.id(place.callId)), '  ', styled('name', timeline.title))
    output.line(
      `${session === undefined ? 'no session' : `session ${session}`}, protocol ${inspected?.protocolVersion ?? 'unknown'}, ` +
        (whose === undefined ? 'no principal' : `principal ${whose}`) +
        (timeline.version === undefined ? '' : `, version ${timeline.version}`),
    )
    output.line(summary(timeline, now))
    if (timeline.divergence)
      output.line(
        styled(
          'bad',
          `parked: ${partingOf(timeline.divergence)} Deploy code that fits; mcp-durable retry makes any node try it.`,
        ),
      )
    output.line()
    const showing = { privacy, nodeName }
    for (const event of events) output.line(...timelineLine(event, timeline.openedAt, showing))
    const running = [...timeline.steps.values()].filter(({ phase }) => phase === 'started')
    if (timeline.status !== 'open' || running.length + timeline.pendingQuestions.length === 0) return
    output.line()
    for (const step of running) output.line(`step ${stepName(step, privacy)} has begun and not ended`)
    for (const title of timeline.pendingQuestions) output.line(`${title} waits for its answer`)
  },
}

/** `open for 3.2 s, 2 runs` */
function summary(
  { status, attempts, openedAt, endedAt, outcome, sealed }: CallTimeline,
  now: number,
): string {
  if (sealed !== undefined)
    return `opened ${span(now - openedAt)} ago; a --key-file with the key of its records opens them`
  const took = span((endedAt ?? now) - openedAt)
  const runs = count(attempts.length, 'run')
  if (status === 'open') return `open for ${took}, ${runs}`
  return `${status === 'cancelled' ? 'cancelled' : `done with ${outcome}`} after ${took}, ${runs}`
}

function timelineLine(event: CallEvent, openedAt: number, showing: Showing): Line {
  const { text, style } = tell(event, showing)
  const isNewRun = event.kind === 'opened' || event.kind === 'taken-over'
  const run = padEnd(isNewRun ? `run ${event.attempt}` : '', 7)
  const payload = showing.privacy.payload(event.payload)
  const at = padStart(`+${span(event.at - openedAt)}`, 10)
  return [
    styled('dim', at),
    '  ',
    styled('bold', run),
    styled(style, text),
    styled('dim', payload && `  ${payload}`),
  ]
}
