import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

// What each import gives to others, types included. A name more is kept for as long as its package lives.
const CORE: Record<string, string> = {
  '.': `
    AuthInfo CommonOptions Durable DurableContext DurableError DurableOptions Events FetchHandler Hooks Logger MapEntry
    Notification RecoveredCall SealKey SealOptions Served ServerFactory SessionInfo SessionState SortedMap StdioServer Store TaskMode TaskToolsOptions
    durable durableContext durablePrompt durableResource durableTool memoryStore principalState sealedStore sessionIdOf sessionState sortedMap taskTools uuid7 uuid7Floor`,
  './hono': 'hono',
  './express': 'express fromNode',
  './node': 'fromNode node',
  './client': `
    ClientLike ConnectOptions Connection DurableFetchOptions FetchLike ReconnectOptions RetryInfo SentRequest TransportClass
    TransportLike connect durableFetch reconnect`,
  './store': `
    ASLEEP Admission AppendOptions Appended BEGINNING CallAppended Claim Claimed CloseCall ContextStore DueCall DueCallsStore Durability DurabilityStore Entry EntryId Forgotten FullQuotas
    HistoryEntry HistoryPage HistoryStore Keeping LogName MapChange MapRange MembershipStore NOBODY NewCall NewEntry NewScope NewSession NodeBeat
    OLDEST OpenCall OpenedCall PlaceOwner QuietlyAppended Quota QuotaStore SessionLimits SharedLog StateEntry Store StoreError StoreErrorCode StoreOptions
    StoredSession StoredValue TakeoverStore Turn Unwatch ValueChange WatchListener WriteOptions compareIds isDurability isParked notDurable strongest`,
  './context': `
    Backoff ChangeOptions ContextNotification Durability DurableContext ElicitContent ElicitOptions ElicitParams ElicitResult ErrorClass
    ErrorMatcher Handle HandleOptions HandlerExtra InferInput InferOutput LogLevel MapEntries MapEntry NoArgs QuestionOptions RangeOptions RecordLimit
    RequestedSchema Root SampleParams SamplingBlock SamplingResult SessionState SortedMap StandardSchema StepBody StepKey
    StepOptions StepRun`,
  './errors': `
    AtMostOnceFailedBeforeCompleting BacklogError CallStoppedError ClientCapabilityError DivergenceError DuplicateStepError DurableError HandleLimitError
    JournalClosedError JournalLostError MapChangedTwiceError MisconfiguredError NestedStepError NoContextError NoPrincipalError NobodyToAskError NodeLeavingError
    NotJsonError OtherServerError QuestionRefusedError RecordRefusedError RecordTooLargeError RecordedError ReplayDivergedError RunRefusedError SealError
    ServerClosedError ServerSilentError ServerUnknownError ServersBusyError SessionGoneError StateConflictError StateFullError StateValueError StepError
    StepTimeoutError StepValueError StoreError StoreErrorCode TasksNeededError UnknownEventError UnknownHandleError UnknownScopeError UnrecordableError`,
  './sdk':
    'EventStoreOptions ServerChange ServerEventBusOptions ServerFactory ServerObject SessionEventStore SessionInfo StoredEventBus eventStore memoryStore serverEventBus',
  './inspect': `
    AboutNode AskedQuestion Attempt CallEvent CallLog CallPlace CallReader CallStatus CallTimeline CallsInspection InspectedCall InspectedNode
    InspectedSession Inspection ListedCall LogsInspection MadeOf MapPage MapsInspection NodesInspection RUN_STATUSES RequestSummary Resealed
    RunStatus SESSION_STATE_KEYS SessionDescription SessionsInspection StepName StepSummary TimedEntry TimedState WantedCalls channelOf
    decodeAbout decodeMessage decodeStored decodeStoredBytes describeSealed describeSession escapeControls isAlive isSessionless listCalls
    openedInspection partingOf reseal runStatusOf scopeOfPrincipal sealKeyIds sealOf sessionIdOf titleOf`,
  './runs': 'Acted CallPlace Made RunRefusal RunRefusedError Runs StepOfRun runsOf',
  './telemetry': 'Telemetry TelemetryOptions telemetry',
  './testing': `
    CrashOptions CrashReport Effect Fault FaultKind Misfit RecordedCall RecordedValue ReplayEnd ReplayOptions ReplayProblem ReplayReport ReplayedStep
    assertCrashSafe crashTest parseRecordedCall replayCall`,
  './testing/store': 'CreateStores StorePair storeContract',
  './transfer': `
    DuePiece HistoryPiece ListedPiece LogPiece MapPiece MarksPiece MovedCall MovedState NodePiece Piece PlacesPiece ScopePiece Transfer
    ValuesPiece WaitingPiece bytesIn pagesOf`,
}
const REDIS_STORE: Record<string, string> = {
  '.': 'RedisLike RedisStoreOptions redisStore',
  './inspect': `
    InspectableRedis InspectedServer KeyPlace ReadingCommand RedisInspection RedisNodes Servers Survey SurveyedKey inspectRedis
    prefixOf`,
  './transfer': 'transferRedis',
}
const SQLITE_STORE: Record<string, string> = {
  '.': 'SqliteDatabase SqliteStatement SqliteStoreOptions SqliteValue file sqliteStore',
  './inspect': 'FileInspection InspectedFile SqliteInspection inspectSqlite openReadOnly',
  './transfer': 'openTarget transferSqlite',
}

type Manifest = { exports: Record<string, { '@mcp-durable/source'?: string }> }

test.each([
  ['core', CORE],
  ['redis-store', REDIS_STORE],
  ['sqlite-store', SQLITE_STORE],
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
