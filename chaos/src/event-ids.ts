/** An id of an event as a journal has it: without the scope before it, and without whoever is told behind it. */
export const journalEventId = (eventId: string) => eventId.split('~')[0]!.split(':').at(-1)!

export const callIdOf = (eventId: string) => journalEventId(eventId).split('.')[0] ?? ''

/** The place in the journal, `<epoch>-<seq>`. */
export const entryOf = (eventId: string) => journalEventId(eventId).split('.')[1] ?? ''

export const epochOf = (entry: string) => Number(entry.slice(0, entry.indexOf('-')))
const seqOf = (entry: string) => Number(entry.slice(entry.indexOf('-') + 1))

export const isBehind = (entry: string, cursor: string) =>
  (epochOf(entry) - epochOf(cursor) || seqOf(entry) - seqOf(cursor)) > 0
