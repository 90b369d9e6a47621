import { expect } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import type { Store } from '../../src/index.js'
import type { EventReader } from './event-reader.js'
import { expectRefused } from './session.js'
import type { Session } from './session.js'

/** 204: the stream ended at or before this event. */
export async function expectNothingMore(session: Session, lastEventId: string | undefined, node = 0) {
  const response = await session.get(lastEventId, { node })
  expect([response.status, await response.text()], lastEventId).toEqual([204, ''])
}

/** 410: what followed this event is not kept, or never was. */
export async function expectGone(session: Session, lastEventId: string | undefined, node = 0) {
  const response = await session.get(lastEventId, { node })
  if (response.status === 200) await response.body?.cancel()
  expect(response.status, lastEventId).toBe(410)
  await expectRefused(response, 410)
}

/** Waits until the store knows that a standalone stream has delivered what was read from it. */
export async function untilRemembered(store: Store | undefined, session: Session, { seen }: EventReader) {
  const last = seen.at(-1)?.id?.slice('out.'.length)
  await waitFor(async () => (await store?.readSession(session.id))?.delivered === last)
}
