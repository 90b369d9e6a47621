import type { Fates } from './check-departure.js'
import { entryOf } from './event-ids.js'
import type { Journal } from './journal.js'
import type { ObservedCall } from './observed-call.js'

/** All that is known of a call: what its client saw on which node, what happened to its nodes and to the store, and its journals. */
export function evidence(
  { args, outcome, abortedAt, connections }: ObservedCall,
  journals: readonly Journal[],
  fates: Fates,
): string {
  const seen = connections.map(
    ({ after, events, node, openedAt, closedAt }) =>
      `    after ${after ?? 'nothing'}: ${events.map(({ id }) => entryOf(id)).join(' ')} (${node}, ${openedAt} to ${closedAt})`,
  )
  const owners = journals.flatMap((journal) => journal.owners.map(({ node }) => node))
  const nodes = new Set([...owners, ...connections.flatMap(({ node }) => node ?? [])])
  return [
    `  arguments ${JSON.stringify(args)}, outcome ${JSON.stringify(outcome)}, gone ${abortedAt}`,
    '  connections',
    ...seen,
    '  what happened to its nodes',
    ...[...nodes].map((node) => `    ${node}: ${JSON.stringify(fates.nodes.get(node) ?? 'nothing')}`),
    `  when the store was away: ${JSON.stringify(fates.store)}`,
    ...journals.map((journal) => journal.print()),
  ].join('\n')
}
