import { readFileSync, writeFileSync } from 'node:fs'

/** A node watches one of its own, for as long as it lives; of other scopes a process watches many, for a short time. */
export const isNodeChannel = (scope: string) => scope.startsWith('node:')

/**
 * Which channels of nodes a process watches, in a file beside its socket: whoever wants to know reads that, so one that is stopped and
 * answers nothing makes only its own nodes seem alive. It says nothing of whether the process lives: that is what its socket is for.
 *
 * What can't be read, was not written to its end, or is that of a version without such files is not known, and the process is asked.
 */
export function writeNodeChannels(path: string, channels: readonly string[]) {
  writeFileSync(path, JSON.stringify(channels), { mode: 0o600 })
}

export function readNodeChannels(path: string): readonly string[] | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as string[]
  } catch {
    return undefined
  }
}
