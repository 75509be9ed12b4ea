import { BlockList, isIP } from 'node:net'
import { SteleError } from '../errors.ts'

/** A set of addresses. */
export interface AddressSet {
  has(address: string): boolean
}

/**
 * A set out of addresses and networks in CIDR notation, IPv4 and IPv6.
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
 * True if every range lies inside one of the others, of the same address family. Two ranges that only together hold a
 * third one do not count.
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

/** An IPv4 address as it is, also where a socket of both kinds shows it inside an IPv6 one. */
export function withoutMapping(address: string): string {
  return /^::ffff:\d/i.test(address) ? address.slice(7) : address
}

/** True for addresses that only programs of this machine have. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.has(address)
}

/**
 * The host of a header `Host`, in lower case, without its port and the brackets of an IPv6 address.
 *
 * @returns undefined for what is no host
 */
export function hostNameOf(header: string): string | undefined {
  const [, address, name] = /^(?:\[([0-9a-f:.]+)\]|([^:@/?#\s[\]]+?)\.?)(?::\d*)?$/i.exec(header) ?? []
  return (address ?? name)?.toLowerCase()
}

/** True for names by which programs of this machine reach one another, whatever a name server says. */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || isLoopback(name)
}

const LOOPBACK = parseAddressSet(['127.0.0.0/8', '::1'], 'loopback')

/**
 * Where a request comes from: the connection's address, or, behind proxies that are trusted, the last address of
 * `X-Forwarded-For` that none of them has. What stands before that one anybody can have made up.
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
