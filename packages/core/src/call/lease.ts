export type Lease = {
  /** Time between heartbeats. */
  heartbeatMs: number
  /** A node this late is dead, whatever else is known. */
  leaseMs: number
  /** Time between looks at the other nodes. */
  sweepMs: number
}

/** Before it is so late, nobody takes from a node what it holds. */
export const lateAfterMs = ({ heartbeatMs }: Lease) => heartbeatMs * 2
