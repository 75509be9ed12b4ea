/**
 * A log as the files that c2sp.org/tlog-tiles names: over HTTP, in a folder, in a data folder. What they hold is
 * unverified; whoever reads them checks it.
 *
 * An implementation answers undefined for what is not there and throws for what it could not find out. It need not
 * check the lengths of what it gives.
 */
export interface LogFiles {
  /** The signed checkpoint, verbatim. */
  checkpoint(): Promise<string>
  /**
   * The hashes of a tile.
   *
   * @param width 1 to 256; where only a wider form of the tile is stored, its first `width` hashes
   */
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>
  /**
   * An entry bundle.
   *
   * @param width 1 to 256; where only a wider form of the bundle is stored, its first `width` entries
   */
  bundle(index: number, width: number): Promise<Uint8Array | undefined>
}
