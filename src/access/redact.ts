/**
 * What is never written, wherever it stood: API keys, tokens, private keys, and whatever else a caller proved who they
 * are with. Keys are found without a word boundary before them: percent encoding leaves a letter there.
 */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/st_[a-z]+_[a-z2-7]{16}_[A-Za-z0-9_-]+/gi, 'st_[redacted]'],
  [/\bst_[a-z]+_[A-Za-z0-9_-]+/g, 'st_[redacted]'],
  // One run of letters, so that no text makes this slow; what else begins so is JSON in base64, and no loss.
  [/eyJ[A-Za-z0-9_.-]{16,}/g, '[redacted token]'],
  [/PRIVATE(?:\+|%2B)KEY(?:\+|%2B)[^\s"\\]+/gi, 'PRIVATE+KEY+[redacted]'],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*/g, '[redacted private key]'],
  [/("(?:proxy-)?authorization"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\])/gi, '$1"[redacted]"'],
  [/\b(Bearer|Basic|Digest)\s+[A-Za-z0-9+/=._~-]{4,}/gi, '$1 [redacted]'],
]

/** Begins, or stands in, all of the above. Most texts have nothing of it, and one look is enough for them. */
const SUSPICIOUS = /st_|eyJ|private|authorization|bearer|basic|digest/i

/** A text without its secrets; what was JSON in one line still is. */
export function redact(line: string): string {
  if (!SUSPICIOUS.test(line)) return line
  return SECRETS.reduce((text, [secret, instead]) => text.replace(secret, instead), line)
}
