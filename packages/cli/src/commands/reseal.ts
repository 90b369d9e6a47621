import { reseal as sealAgain } from '@mcp-durable/core/inspect'
import type { Resealed } from '@mcp-durable/core/inspect'
import type { Command } from '../command.js'
import { sealingWith } from '../connect/key-file.js'
import { CliError, usageError } from '../errors.js'
import { count } from '../show/text.js'

export const reseal: Command = {
  name: 'reseal',
  arity: [0, 0],
  summary: 'seals states and maps with the newest key of --key-file, and counts what is left to older ones',
  details:
    'While nodes run, which all must have that key; the secrets of --secrets as well. What is in sessions, calls, changes and histories is not written again: it goes with them.\n' +
    'All of it but histories is read and counted. An older key can be dropped when nothing is left to it, and no history.\n' +
    'Where nodes refuse what is not sealed, give --refuse-plain, or what somebody has put into the store without a key is sealed for them.',
  options: {
    'refuse-plain': { type: 'boolean', help: "seal nothing that is not sealed: nodes have plain: 'refuse'" },
  },
  async run(context) {
    const { output, options, values } = context
    if (options.keyFile === undefined) throw usageError('reseal needs --key-file FILE.', 'reseal')
    const kept = await context.connectSecrets()
    const sealing = sealingWith(options.keyFile, kept?.secrets)
    const connected = await context.connectStored()
    const plain = values['refuse-plain'] === true ? 'refuse' : 'read'
    const done = await sealAgain(connected.inspect, context.store(connected), { ...sealing, plain })
    // Secrets are never plain.
    if (kept) add(done, await sealAgain(kept.inspect, kept.secrets, { keys: sealing.keys, plain: 'refuse' }))
    if (output.json) output.document(done)
    else {
      output.line(`${count(done.resealed, 'value')} sealed again, ${done.current} had the newest key`)
      for (const [key, { sessions, calls, changes }] of Object.entries(done.left))
        output.line(
          `${key === 'plain' ? 'not sealed' : `sealed with ${key}`}: ${count(sessions, 'session')}, ${count(calls, 'call')}, ${count(changes, 'change')}`,
        )
    }
    if (done.unreadable > 0)
      throw new CliError(`${count(done.unreadable, 'value')} can't be opened with these keys.`, [
        'Put the key that they are sealed with into the file: mcp-durable state and map name it, or show what is not sealed',
      ])
  },
}

/** What became of the secrets, each of which is a value. */
function add(done: Resealed, secrets: Resealed) {
  for (const what of ['resealed', 'current', 'unreadable'] as const) done[what] += secrets[what]
}
