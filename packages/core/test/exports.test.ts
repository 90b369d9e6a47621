import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

// What each import gives to others, types included. A name more is kept for as long as its package lives.
const CORE: Record<string, string> = {
  '.': `
    AuthInfo CommonOptions Durable DurableContext DurableError DurableOptions Events FetchHandler Hooks Logger MapEntry
    Notification RecoveredCall Served ServerFactory SessionInfo SessionState SortedMap Store
    durable durableContext durablePrompt durableResource durableTool memoryStore sessionIdOf sessionState sortedMap uuid7 uuid7Floor`,
  './hono': 'hono',
  './express': 'express fromNode',
  './node': 'fromNode node',
  './client': `
    ClientLike ConnectOptions Connection DurableFetchOptions FetchLike ReconnectOptions RetryInfo SentRequest TransportClass
    TransportLike connect durableFetch reconnect`,
  './store': `
    Admission AppendOptions Appended BEGINNING CallAppended Claim Claimed CloseCall ContextStore Entry EntryId Forgotten
    HistoryEntry HistoryPage HistoryStore Keeping LogName MapChange MapRange MembershipStore NewCall NewEntry NewSession NodeBeat
    OLDEST OpenCall OpenedCall QuietlyAppended SessionLimits SharedLog StateEntry Store StoreError StoreErrorCode StoreOptions
    StoredSession StoredValue TakeoverStore Unwatch ValueChange WatchListener compareIds`,
  './context': `
    Backoff ChangeOptions ContextNotification DurableContext ElicitContent ElicitOptions ElicitParams ElicitResult ErrorClass
    ErrorMatcher HandlerExtra InferInput InferOutput LogLevel MapEntries MapEntry NoArgs QuestionOptions RangeOptions RecordLimit
    RequestedSchema Root SampleParams SamplingBlock SamplingResult SessionState SortedMap StandardSchema StepBody StepKey
    StepOptions StepRun`,
  './errors': `
    AtMostOnceFailedBeforeCompleting BacklogError CallStoppedError ClientCapabilityError DuplicateStepError DurableError
    JournalClosedError JournalLostError MapChangedTwiceError MisconfiguredError NestedStepError NoContextError NoSessionError NobodyToAskError NodeLeavingError
    NotJsonError OtherServerError QuestionRefusedError RecordRefusedError RecordTooLargeError RecordedError ReplayDivergedError
    ServerUnknownError ServersBusyError SessionGoneError StateConflictError StateValueError StepChangedError StepError
    StepTimeoutError StepValueError StoreError StoreErrorCode UnknownEventError UnknownScopeError UnrecordableError`,
  './sdk':
    'EventStoreOptions ServerFactory ServerObject SessionEventStore SessionInfo eventStore memoryStore',
  './inspect': `
    AboutNode Attempt CallEvent CallStatus CallTimeline RequestSummary SESSION_STATE_KEYS SessionDescription StepName StepSummary
    TimedEntry channelOf decodeAbout decodeMessage decodeStored decodeStoredBytes describeSession escapeControls titleOf`,
  './telemetry': 'Telemetry TelemetryOptions telemetry',
  './testing': 'CreateStores StorePair storeContract',
}
const REDIS_STORE: Record<string, string> = {
  '.': 'RedisLike RedisStoreOptions redisStore',
  './inspect': `
    CallJournals CallPlace InspectableRedis InspectedNode InspectedServer InspectedSession KeyPlace Logs MapPage Maps Nodes
    ReadingCommand RedisInspection Servers Sessions Survey SurveyedKey TimedEntry TimedState inspectRedis prefixOf`,
}

type Manifest = { exports: Record<string, { '@mcp-durable/source'?: string }> }

test.each([
  ['core', CORE],
  ['redis-store', REDIS_STORE],
])('every import of %s gives these names', async (folder, names) => {
  const root = new URL(`../../${folder}/`, import.meta.url)
  const manifest = JSON.parse(await readFile(new URL('package.json', root), 'utf8')) as Manifest
  const found: Record<string, string[]> = {}
  for (const [path, { '@mcp-durable/source': source }] of Object.entries(manifest.exports))
    if (source !== undefined) found[path] = namesIn(await readFile(new URL(source, root), 'utf8'))
  const expected = Object.entries(names).map(([path, list]) => [path, list.trim().split(/\s+/).toSorted()])
  expect(found).toEqual(Object.fromEntries(expected))
})

/** Names are chosen one by one: there is no `export *`. */
function namesIn(source: string): string[] {
  expect(source).not.toMatch(/^export\s+(type\s+)?\*/m)
  const listed = [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)]
  const declared = [...source.matchAll(/^export (?:async )?(?:const|function|class|type|interface) (\w+)/gm)]
  return [
    ...listed.flatMap(([, list = '']) => list.match(/\w+/g) ?? []),
    ...declared.map(([, name = '']) => name),
  ].toSorted()
}
