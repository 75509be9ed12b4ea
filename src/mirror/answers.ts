import { toBase64 } from '../bytes/base64.ts'
import type { Verdict } from '../witness/judge.ts'
import type { MirrorInfo, Uploaded } from './upload.ts'
import type { Answer } from '../http/answer.ts'
import { NO_STORE, PLAIN_TEXT } from '../http/headers.ts'
import { refusal, witnessAnswer } from '../witness/answers.ts'

/** The body of a 202 and a 409: three lines. Without a charset, for clients compare it as it is. */
export const INFO_TYPE = 'text/x.tlog.mirror-info'

/** Tells uploaders that they may compress (c2sp.org/tlog-mirror). */
const UPLOAD_HEADERS = { 'accept-encoding': 'gzip', ...NO_STORE }

/** The answer of c2sp.org/tlog-mirror to an `add-checkpoint`: that of a witness, with nothing cosigned. */
export function pendingAnswer(verdict: Verdict): Answer {
  return witnessAnswer(verdict.kind === 'cosign' ? { kind: 'cosigned', lines: '' } : verdict)
}

/** The answer of c2sp.org/tlog-mirror to an `add-entries`. */
export function uploadAnswer(uploaded: Uploaded): Answer {
  switch (uploaded.kind) {
    case 'cosigned':
      return { status: 200, headers: { 'content-type': PLAIN_TEXT, ...UPLOAD_HEADERS }, body: uploaded.lines }
    case 'partial':
      return infoAnswer(202, uploaded.info)
    case 'conflict':
      return infoAnswer(409, uploaded.info)
    case 'refused':
      return refusal(uploaded.error)
  }
}

function infoAnswer(status: number, { size, nextEntry, ticket }: MirrorInfo): Answer {
  const body = `${size}\n${nextEntry}\n${toBase64(ticket)}\n`
  return { status, headers: { 'content-type': INFO_TYPE, ...UPLOAD_HEADERS }, body }
}
