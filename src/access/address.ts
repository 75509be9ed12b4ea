import { BlockList, isIP } from 'node:net'
import { SteleError } from '../errors.ts'

/** A set of addresses. */
export interface AddressSet {
  has(address: string): boolean
}

/**
 * Parses addresses and networks in CIDR notation, IPv4 and IPv6.
 *
 * @param what names the list in error messages
 * @throws SteleError `usage`
 */
export function parseAddressSet(ranges: readonly string[], what: string): AddressSet {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits, ...rest] = range.split('/')
    const version = isIP(address)
    const most = version === 4 ? 32 : 128
    const prefix = bits === undefined ? most : /^[0-9]{1,3}$/.test(bits) ? Number(bits) : Infinity
    if (version === 0 || prefix > most || rest.length > 0) {
      throw new SteleError(
        'usage',
        `${what}: expected an address or a network such as 10.0.0.0/8 or 2001:db8::/32, got "${range}"`,
      )
    }
    list.addSubnet(address, prefix, familyOf(version))
  }
  return {
    has(address) {
      const plain = withoutMapping(address)
      const version = isIP(plain)
      return version !== 0 && list.check(plain, familyOf(version))
    },
  }
}

/**
 * True if every range lies inside a single one of the outer ranges, of the same address family. Two outer ranges that
 * cover it only together do not count.
 *
 * @throws SteleError `usage`, as {@link parseAddressSet}
 */
export function areWithin(ranges: readonly string[], outer: readonly string[]): boolean {
  return ranges.every((range) => outer.some((one) => isWithinRange(range, one)))
}

function isWithinRange(range: string, outer: string): boolean {
  const [address = '', prefix] = range.split('/')
  const [outerAddress = '', outerPrefix] = outer.split('/')
  const most = isIP(outerAddress) === 4 ? 32 : 128
  return (
    isIP(address) === isIP(outerAddress) &&
    Number(prefix ?? most) >= Number(outerPrefix ?? most) &&
    parseAddressSet([outer], 'addresses').has(address)
  )
}

/** An IPv4 address that a dual-stack socket shows as an IPv6 one, as IPv4; any other address unchanged. */
export function withoutMapping(address: string): string {
  return /^::ffff:\d/i.test(address) ? address.slice(7) : address
}

/** True for an address that only programs of this machine can have. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.has(address)
}

/**
 * The host of a `Host` header, in lower case, without its port and the brackets of an IPv6 address.
 *
 * @returns undefined if it is not a host
 */
export function hostNameOf(header: string): string | undefined {
  const [, address, name] = /^(?:\[([0-9a-f:.]+)\]|([^:@/?#\s[\]]+?)\.?)(?::\d*)?$/i.exec(header) ?? []
  return (address ?? name)?.toLowerCase()
}

/** True for names that reach this machine regardless of name servers. */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || isLoopback(name)
}

const LOOPBACK = parseAddressSet(['127.0.0.0/8', '::1'], 'loopback')

/**
 * The client address of a request: that of the connection, or behind trusted proxies the last address in
 * `X-Forwarded-For` that is not one of them. Addresses before it can be forged by the client.
 */
export function clientAddress(
  remote: string,
  forwardedFor: string | undefined,
  trusted: AddressSet | undefined,
): string {
  let address = withoutMapping(remote)
  if (!trusted || forwardedFor === undefined) return address
  const hops = forwardedFor.split(',')
  while (trusted.has(address)) {
    const hop = withoutMapping(hops.pop()?.trim() ?? '')
    if (isIP(hop) === 0) break
    address = hop
  }
  return address
}

function familyOf(version: number): 'ipv4' | 'ipv6' {
  return version === 6 ? 'ipv6' : 'ipv4'
}
