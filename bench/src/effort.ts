/** How long and how large everything is. */
export type Effort = {
  /** Contestants take turns, as often as this. */
  rounds: number
  roundMs: number
  /** Of a new process, until its code is compiled. */
  warmUpMs: number
}

/** `full` judges; `quick` shows that everything is measured, and about where it is; `smoke` only that it works. */
export const efforts = {
  full: { rounds: 7, roundMs: 2000, warmUpMs: 3000 },
  quick: { rounds: 3, roundMs: 500, warmUpMs: 700 },
  smoke: { rounds: 1, roundMs: 200, warmUpMs: 200 },
} as const satisfies Record<string, Effort>
export type EffortName = keyof typeof efforts
