import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose'
import { onTestFinished } from 'vitest'

export interface IssuerKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

/** An identity provider: a real server with a discovery document and keys, which signs whatever it is told to. */
export class Issuer {
  url = ''
  keys: IssuerKey[] = []
  /** Paths that were asked for. */
  readonly asked: string[] = []
  /** Stands in for the answer to a path. */
  readonly instead = new Map<string, (req: IncomingMessage, res: ServerResponse) => void>()

  static async start(...algorithms: string[]): Promise<Issuer> {
    const issuer = new Issuer()
    for (const alg of algorithms.length > 0 ? algorithms : ['ES256']) await issuer.addKey(alg)
    const server = createServer((req, res) => {
      const path = req.url ?? ''
      issuer.asked.push(path)
      const other = issuer.instead.get(path)
      if (other) return other(req, res)
      const document =
        path === '/.well-known/openid-configuration'
          ? { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }
          : { keys: issuer.keys.map(({ jwk }) => jwk) }
      res.setHeader('content-type', 'application/json')
      res.end(JSON.stringify(document))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    issuer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return issuer
  }

  async addKey(alg: string, kid = `key-${this.keys.length}`): Promise<IssuerKey> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
    const key = { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
    this.keys.push(key)
    return key
  }

  /** A token that is good for a minute, but for what is said otherwise; a claim that is undefined is left out. */
  token(claims: JWTPayload = {}, header: Record<string, unknown> = {}, key = this.keys[0]!): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    const all = { iss: this.url, aud: 'stele', sub: 'alice', exp: now + 60, groups: ['readers'], ...claims }
    return new SignJWT(all).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey)
  }

  /** As `token`, by ES256, of what no library would sign. */
  async signed(claims: object, header: object): Promise<string> {
    const parts = [
      { alg: 'ES256', kid: 'key-0', ...header },
      { iss: this.url, aud: 'stele', sub: 'alice', exp: Math.floor(Date.now() / 1000) + 60, ...claims },
    ]
    const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    const how = { name: 'ECDSA', hash: 'SHA-256' }
    const signature = await crypto.subtle.sign(how, this.keys[0]!.privateKey, Buffer.from(text))
    return `${text}.${Buffer.from(signature).toString('base64url')}`
  }
}
