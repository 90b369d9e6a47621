import { CallTimeline } from '@mcp-durable/core/inspect'
import { expect, test } from 'vitest'
import { eventJson, tell } from '../src/show/call-events.js'
import { Privacy, toJson } from '../src/show/privacy.js'

// What stands in a store and is of the wrong type can be shown.

const privacy = new Privacy({ showPayloads: true, fullIds: false })
const nodeName = (node: string) => privacy.id(node)

test.each([
  'request {"node":"n","protocol":"x","messages":[{"method":"tools/call","params":5,"id":{}}],"version":{}}',
  'parked {"node":"n","answerBy":"x","wakeAt":{}}',
  'diverged {"node":"n","step":5,"was":"x","is":[]}',
  'step {"id":"a","phase":"done","value":"{","ms":"x"}',
  'step {"id":"a","phase":"failed","error":"x","ms":{}}',
  'message {"method":"notifications/progress","params":7}',
  'response {"error":{}}',
  'cancelled {"a":1}',
  'step null',
])('%s', (data) => {
  const event = new CallTimeline('c').add({ id: '1-1', at: 1, data })!
  const { text } = tell(event, { privacy, nodeName })
  expect(text.length + toJson(eventJson(event, privacy)).length).toBeGreaterThan(0)
})
