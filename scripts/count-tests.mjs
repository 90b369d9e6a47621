// Prints the tests that failed, with why, and "N passed, M failed" from the JSON reports of vitest. Fails when a test
// failed, when none ran in one of them, or when one is missing. A test file that could not even load counts as one failure.

import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

const LINES = 30

const paths = process.argv.slice(2)
const reports = paths.map(read)
const sum = (count) => reports.reduce((total, report) => total + count(report), 0)

const isBroken = ({ status, assertionResults }) =>
  status === 'failed' && !assertionResults.some((test) => test.status === 'failed')
const notRun = sum(({ numPendingTests, numTodoTests }) => numPendingTests + numTodoTests)
if (notRun > 0) console.log(`${notRun} tests were skipped or are still to be written`)

for (const [index, { testResults }] of reports.entries()) {
  for (const { name, status, assertionResults, message } of testResults) {
    const failures = assertionResults.filter((test) => test.status === 'failed')
    const tell = (what, why) =>
      console.log(`failed: ${relative('.', name)}${what} (${paths[index]})\n${beginningOf(why)}`)
    for (const { fullName, failureMessages } of failures) tell(` > ${fullName}`, failureMessages.join('\n'))
    if (status === 'failed' && failures.length === 0) tell('', message)
  }
}

const passed = sum(({ numPassedTests }) => numPassedTests)
const failed = sum(({ numFailedTests, testResults }) => numFailedTests + testResults.filter(isBroken).length)
console.log(`${passed} passed, ${failed} failed`)
const allRan = reports.length > 0 && reports.every(({ numPassedTests }) => numPassedTests > 0)
process.exitCode = allRan && failed === 0 ? 0 : 1

function beginningOf(message) {
  const lines = stripVTControlCharacters(message).split('\n').slice(0, LINES)
  return lines.map((line) => `    ${line.slice(0, 300)}`).join('\n')
}

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    console.error(`There is no report of a run of the tests: ${error.message}`)
    return { testResults: [], numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 }
  }
}
