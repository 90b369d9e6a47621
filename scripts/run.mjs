// Runs a program with one line of progress; its output is kept and shown only when it is needed.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { delimiter, join } from 'node:path'

export const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * @param {string} command found in node_modules/.bin too
 * @param {string[]} args
 * @param {{ title: string, announceAfterMs: number, cwd?: string, env?: Record<string, string> }} options
 *   the title is printed once the program has run for that many milliseconds
 * @returns {Promise<{ code: number, output: string, seconds: string }>}
 */
export function run(command, args, { title, announceAfterMs, cwd = root, env }) {
  const started = Date.now()
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1)
  return new Promise((resolve) => {
    let output = ''
    let announced = false
    const announce = () => {
      announced = true
      console.log(`${title} …`)
    }
    const timer = announceAfterMs > 0 ? setTimeout(announce, announceAfterMs) : announce()
    const path = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter)
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env, PATH: path },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => (output += `${command}: ${error.message}\n`))
    child.on('close', (code) => {
      clearTimeout(timer)
      if (announced && code === 0) console.log(`${title} took ${seconds()} s`)
      resolve({ code: code ?? 1, output, seconds: seconds() })
    })
  })
}

/** Ends the script with what went wrong and what to do next. */
export function fail(problem, nextStep) {
  console.error(`\n${problem.trim()}\n\n${nextStep}`)
  process.exit(1)
}
