/**
 * Patterns that are never written to any output: API keys, tokens, private keys, and other credentials. Keys match
 * without a word boundary before them, because percent encoding leaves a letter there.
 */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/st_[a-z]+_[a-z2-7]{16}_[A-Za-z0-9_-]+/gi, 'st_[redacted]'],
  [/\bst_[a-z]+_[A-Za-z0-9_-]+/g, 'st_[redacted]'],
  // A single run of characters, so that no text makes this slow. Other text that begins like this is JSON in base64.
  [/eyJ[A-Za-z0-9_.-]{16,}/g, '[redacted token]'],
  [/PRIVATE(?:\+|%2B)KEY(?:\+|%2B)[^\s"\\]+/gi, 'PRIVATE+KEY+[redacted]'],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*/g, '[redacted private key]'],
  [/("(?:proxy-)?authorization"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\])/gi, '$1"[redacted]"'],
  [/\b(Bearer|Basic|Digest)\s+[A-Za-z0-9+/=._~-]{4,}/gi, '$1 [redacted]'],
]

/** A quick test: every pattern above contains one of these, and most texts contain none. */
const SUSPICIOUS = /st_|eyJ|private|authorization|bearer|basic|digest/i

/** A text without its secrets. A line of JSON stays valid JSON. */
export function redact(line: string): string {
  if (!SUSPICIOUS.test(line)) return line
  return SECRETS.reduce((text, [secret, instead]) => text.replace(secret, instead), line)
}
