// Prints "N passed, M failed" from the JSON reports of vitest. Fails when a test failed, when none ran in one of them, or when
// one is missing. A test file that could not even load counts as one failure.

import { readFileSync } from 'node:fs'

const reports = process.argv.slice(2).map(read)
const sum = (count) => reports.reduce((total, report) => total + count(report), 0)

const isBroken = ({ status, assertionResults }) =>
  status === 'failed' && !assertionResults.some((test) => test.status === 'failed')
const notRun = sum(({ numPendingTests, numTodoTests }) => numPendingTests + numTodoTests)
if (notRun > 0) console.log(`${notRun} tests were skipped or are still to be written`)

const passed = sum(({ numPassedTests }) => numPassedTests)
const failed = sum(({ numFailedTests, testResults }) => numFailedTests + testResults.filter(isBroken).length)
console.log(`${passed} passed, ${failed} failed`)
const allRan = reports.length > 0 && reports.every(({ numPassedTests }) => numPassedTests > 0)
process.exitCode = allRan && failed === 0 ? 0 : 1

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    console.error(`There is no report of a run of the tests: ${error.message}`)
    return { testResults: [], numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 }
  }
}
