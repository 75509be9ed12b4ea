// Audits a log once, with the code of `stele audit`: from a URL or from a folder that was exported.
import { auditLog, FolderFiles, servedFiles } from '../lib/stele.mjs'

/** @type {{ url?: string, folder?: string, origin: string, verifierKey: string, size: number }} */
const { url, folder, origin, verifierKey, size } = JSON.parse(process.argv[2])

const files = url === undefined ? new FolderFiles(folder) : servedFiles(url)
const [startedMs, cpu] = [performance.now(), process.cpuUsage()]
const report = await auditLog(files, { origin, verifierKeys: [verifierKey], partialTiles: 'stored' })
const seconds = (performance.now() - startedMs) / 1000
const { user, system } = process.cpuUsage(cpu)
if (report.verdict !== 'intact' || report.checked.entries.end !== size) throw new Error('not audited')
process.stdout.write(
  `${JSON.stringify({ perSecond: size / seconds, perCore: (size / (user + system)) * 1e6 })}\n`,
)
