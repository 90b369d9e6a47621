// Prints "N passed, M failed" from vitest's JSON report. Fails when a test failed, when none ran, or when there is
// no report. A test file that could not even load counts as one failure.

import { readFileSync } from 'node:fs'

const [file] = process.argv.slice(2)
const report = read(file)
const brokenFiles = report.testResults.filter(
  ({ status, assertionResults }) =>
    status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
)
const notRun = report.numPendingTests + report.numTodoTests
if (notRun > 0) console.log(`${notRun} tests were skipped or are still to be written`)

const passed = report.numPassedTests
const failed = report.numFailedTests + brokenFiles.length
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = passed > 0 && failed === 0 ? 0 : 1

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    console.error(`There is no report of the tests: ${error.message}`)
    return { testResults: [], numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 }
  }
}
