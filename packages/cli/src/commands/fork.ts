import type { Command } from '../command.js'
import { usageError } from '../errors.js'
import { acting, made, repeating } from '../look/acting.js'

export const fork: Command = {
  name: 'fork',
  args: 'CALL --from STEP',
  arity: [1, 1],
  summary: 'go on from a step of a call that has ended, in another call that has the steps before it',
  details:
    'What stands before STEP in the journal is not done again: mcp-durable call CALL shows it. What follows is, by the code of today;\n' +
    'steps that run at most once, and changes of a state, are listed, and it asks first. Changes of maps are no steps: all are made\n' +
    'again.',
  options: {
    from: { type: 'string', value: 'STEP', help: 'the name of the step that is the first one to run' },
    key: { type: 'string', value: 'KEY', help: 'its key, where there are several of that name' },
    ...acting,
    ...repeating,
  },
  async run(context) {
    const { from: name, key } = context.values
    if (typeof name !== 'string') throw usageError('fork needs --from STEP.', 'fork')
    const from = { name, ...(typeof key === 'string' && { key }) }
    return made(context, (runs, place, more) => runs.fork(place, { from, ...more }))
  },
}
