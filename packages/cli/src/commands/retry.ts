import type { Command } from '../command.js'
import { acting, made, repeating } from '../look/acting.js'

export const retry: Command = {
  name: 'retry',
  args: 'CALL',
  arity: [1, 1],
  summary: 'do a call of a tool again that failed, was cancelled, or whose outcome is unknown',
  details:
    'Another call, with its arguments and its caller; nobody listens to it, and its result is in its journal. Steps that run at most\n' +
    'once and had begun are begun again: they are listed, and it asks first. A call is retried once; then the new one may be.\n' +
    'A call that is parked since it does not fit the code (status diverged) is tried again itself, by any node.',
  options: { ...acting, ...repeating },
  run: (context) => made(context, (runs, place, more) => runs.retry(place, more)),
}
