import { statfsSync } from 'node:fs'

/**
 * Types of file systems (`f_type` of Linux) that other machines may write as well: the locks and the shared memory by which SQLite keeps
 * its writers apart don't reach them, and the file would be damaged.
 */
const NETWORK = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
])

/** The name of the network file system that a folder is on; `undefined`: none that is known. Only Linux tells. */
export function networkFileSystem(folder: string, typeOf = fileSystemType): string | undefined {
  return process.platform === 'linux' ? NETWORK.get(typeOf(folder)) : undefined
}

/** Some are said as a negative number of 32 bits. */
const fileSystemType = (folder: string) => statfsSync(folder).type >>> 0
