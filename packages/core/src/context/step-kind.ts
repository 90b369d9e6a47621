/** What a step is: the method of the context that began it. `body`: `atLeastOnce` or `atMostOnce`. */
export type StepKind =
  'body' | 'elicit' | 'handle' | 'listRoots' | 'now' | 'random' | 'sample' | 'sleep' | 'state' | 'uuid7'
