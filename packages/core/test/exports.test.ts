import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

// What each entry gives to others, types included. A name more is kept for as long as this package lives.
const ENTRIES: Record<string, string> = {
  index: `
    AuthInfo CommonOptions Durable DurableContext DurableError DurableOptions Events FetchHandler Hooks Logger MapEntry
    Notification RecoveredCall Served ServerFactory SessionInfo SessionState SortedMap Store
    durable durableContext durablePrompt durableResource durableTool memoryStore sessionIdOf sessionState sortedMap uuid7 uuid7Floor`,
  'context/index': `
    Backoff ChangeOptions ContextNotification DurableContext ElicitContent ElicitOptions ElicitParams ElicitResult ErrorClass
    ErrorMatcher HandlerExtra InferInput InferOutput LogLevel MapEntries MapEntry NoArgs QuestionOptions RangeOptions RecordLimit
    RequestedSchema Root SampleParams SamplingBlock SamplingResult SessionState SortedMap StandardSchema StepBody StepKey
    StepOptions StepRun`,
  'error-classes': `
    AtMostOnceFailedBeforeCompleting BacklogError CallStoppedError ClientCapabilityError DuplicateStepError DurableError JournalClosedError
    JournalLostError MapChangedTwiceError MisconfiguredError NestedStepError NoContextError NodeLeavingError NotJsonError
    OtherServerError QuestionRefusedError RecordRefusedError RecordTooLargeError RecordedError ReplayDivergedError
    ServerUnknownError ServersBusyError SessionGoneError StateConflictError StateValueError StepChangedError StepError
    StepTimeoutError StepValueError StoreError StoreErrorCode UnknownEventError UnknownScopeError UnrecordableError`,
  'store/index': `
    Admission AppendOptions Appended BEGINNING CallAppended Claim Claimed CloseCall ContextStore Entry EntryId Forgotten
    HistoryEntry HistoryPage HistoryStore Keeping LogName MapChange MapRange MembershipStore NewCall NewEntry NewSession NodeBeat
    OLDEST OpenCall OpenedCall QuietlyAppended SessionLimits SharedLog StateEntry Store StoreError StoreErrorCode StoreOptions
    StoredSession StoredValue TakeoverStore Unwatch ValueChange WatchListener compareIds`,
  sdk: 'EventStoreOptions ServerFactory ServerObject SessionEventStore SessionInfo eventStore memoryStore',
}

test.each(Object.entries(ENTRIES))('%s', async (entry, names) => {
  const source = await readFile(new URL(`../src/${entry}.ts`, import.meta.url), 'utf8')
  expect(source).not.toContain('*')
  const exported = [...source.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = '']) => list.match(/\w+/g) ?? [])
  expect(exported.toSorted()).toEqual(names.trim().split(/\s+/).toSorted())
})
