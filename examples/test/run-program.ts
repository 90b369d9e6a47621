import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Outcome {
  code: number
  stdout: string
  stderr: string
}

/** Runs a compiled example to its end; `input` is what somebody types. */
export function runProgram(
  name: string,
  args: string[] = [],
  env: NodeJS.ProcessEnv = {},
  input = '',
): Promise<Outcome> {
  const file = fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url))
  const options = { env: { ...process.env, ...env }, timeout: 240_000 }
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [file, ...args], options, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
    child.stdin?.end(input)
  })
}

/** Where a compiled server is, for `spawnNode`. */
export const program = (name: string): string => `examples/dist/${name}.js`
