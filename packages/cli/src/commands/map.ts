import { decodeStoredBytes } from '@mcp-durable/core/inspect'
import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import type { Connected } from '../connect/connected.js'
import type { Context } from '../context.js'
import { count } from '../show/text.js'

export const map: Command = {
  name: 'map',
  args: '[NAME]',
  arity: [0, 1],
  summary: 'the entries of a sorted map (ctx.map), a page at a time; without a name, which maps there are',
  details: 'Keys and values are what tools have put in, so both are masked without --show-payloads.',
  options: {
    limit: { type: 'string', value: 'N', help: 'at most so many entries (default: 100)' },
    after: { type: 'string', value: 'KEY', help: 'go on behind this key' },
    reverse: { type: 'boolean', help: 'from the highest key down' },
  },
  async run(context) {
    const connected = await context.connect()
    const [name] = context.args
    return name === undefined ? listMaps(context, connected) : listEntries(context, connected, name)
  },
}

async function listMaps({ output }: Context, { inspect, area }: Connected) {
  const names = await inspect.maps.names()
  const maps = await Promise.all(
    names.map(async (name) => ({ name, entries: await inspect.maps.size(name) })),
  )
  if (output.json) return output.document({ maps })
  if (maps.length === 0) return output.line(`no maps ${area}`)
  output.table(
    [
      { title: 'MAP', text: ({ name }) => name, style: () => 'name' },
      { title: 'ENTRIES', text: ({ entries }) => String(entries), right: true },
    ],
    maps,
  )
}

async function listEntries({ output, privacy, values }: Context, { inspect }: Connected, name: string) {
  const limit = numberOption(values, 'limit', 100, 1)
  const { after, reverse } = values
  const page = await inspect.maps.read(name, {
    limit,
    reverse: reverse === true,
    ...(typeof after === 'string' && { after }),
  })
  const size = await inspect.maps.size(name)
  const entries = page.map(([key, value]) => ({ key, bytes: decodeStoredBytes(value) }))
  if (output.json) {
    const shown = entries.map(({ key, bytes }) => ({
      key: privacy.key(key),
      value: privacy.showsPayloads ? textOf(bytes) : { maskedBytes: bytes.byteLength },
    }))
    return output.document({ map: name, size, entries: shown })
  }
  if (entries.length === 0) return output.line(size === 0 ? `there is no map ${name}` : 'no more entries')
  output.table(
    [
      { title: 'KEY', text: ({ key }) => privacy.key(key), style: () => 'name' },
      { title: 'BYTES', text: ({ bytes }) => String(bytes.byteLength), right: true },
      ...(privacy.showsPayloads
        ? [{ title: 'VALUE', text: ({ bytes }: { bytes: Uint8Array }) => textOf(bytes), most: 2000 }]
        : []),
    ],
    entries,
  )
  output.line(`${entries.length} of ${count(size, 'entry', 'entries')}`)
}

/** Values are bytes of any kind: as text where they are that, else as base64. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return `base64:${Buffer.from(bytes).toString('base64')}`
  }
}
