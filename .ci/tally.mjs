// tally.mjs <report> <status>: prints `passed failed skipped` of a Vitest JSON report, and on standard error the names
// of what was skipped. A run without a report, or one that ended badly without a failed test (a file that does not
// load, a promise that nobody caught), counts as one failure.
import { existsSync, readFileSync } from 'node:fs'
import { argv } from 'node:process'

const [report, status] = argv.slice(2)
const ran = existsSync(report)
const files = ran ? JSON.parse(readFileSync(report, 'utf8')).testResults : []
const tests = files.flatMap((file) => file.assertionResults)
const passed = tests.filter((test) => test.status === 'passed').length
const failed = tests.filter((test) => test.status === 'failed').length
const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed')

for (const test of skipped) console.error(`   skipped: ${test.fullName}`)
const unaccounted = failed === 0 && (!ran || status !== '0') ? 1 : 0
console.log(`${passed} ${failed + unaccounted} ${skipped.length}`)
