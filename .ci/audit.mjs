// audit.mjs <report>: judges what `npm audit --json` said. Fails for advisories of high or critical severity. Where no
// registry could be asked there is nothing to judge, and that is said.
import { readFileSync } from 'node:fs'
import { argv } from 'node:process'

let report = {}
try {
  report = JSON.parse(readFileSync(argv[2], 'utf8'))
} catch {
  // What is no JSON is no report.
}
if (report.auditReportVersion === undefined) {
  console.log('audit: no registry told of advisories; nothing was checked')
} else {
  const grave = Object.values(report.vulnerabilities ?? {}).filter(({ severity }) =>
    ['high', 'critical'].includes(severity),
  )
  for (const { name, severity, range } of grave) console.error(`${severity}: ${name} ${range}`)
  if (grave.length > 0) process.exitCode = 1
  else console.log('audit: no advisory of high or critical severity')
}
