const waiting: (() => void)[] = []
let ending: Promise<void> | undefined

/** Does the work when this turn of the event loop is over, with all that others have put off until then. */
export function atEndOfTurn(work: () => void) {
  if (waiting.push(work) === 1) setImmediate(doAll)
}

/**
 * Resolves when this turn of the event loop is over. What many calls do next they then do side by side, which takes
 * about half the time of doing it for one call after the other.
 */
export function endOfTurn(): Promise<void> {
  ending ??= new Promise((resolve) => {
    atEndOfTurn(() => {
      ending = undefined
      resolve()
    })
  })
  return ending
}

function doAll() {
  for (const work of waiting.splice(0)) work()
}
