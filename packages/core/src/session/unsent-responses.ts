import { messageOf } from '../errors.js'
import type { ServerObject } from './server-factory.js'

type SdkServer = { _onerror?: (error: Error) => void }

/**
 * Tells of each response that the SDK could not make or send: of a handler that rejects with nothing, it fails to read the code. Nobody
 * else hears of these. Both majors call `_onerror`, whatever the application puts at `onerror`, and when.
 */
export function hearUnsent(object: ServerObject, unsent: (error: Error) => void) {
  const { server = object } = object as { server?: object }
  const { _onerror: told } = server as SdkServer
  if (typeof told !== 'function') return
  const hear = (error: Error) => {
    if (messageOf(error).startsWith('Failed to send response')) unsent(error)
    told.call(server, error)
  }
  Object.assign(server, { _onerror: hear } satisfies SdkServer)
}
