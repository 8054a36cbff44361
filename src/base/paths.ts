/** Paths inside a data folder: what the Disk port accepts, shared by its adapter and its twin. Imports nothing. */

/** Bytes of one segment: what every file system allows. */
const segments = /^(?!\.\.?(?:\/|$))[A-Za-z0-9._-]{1,255}(?:\/(?!\.\.?(?:\/|$))[A-Za-z0-9._-]{1,255})*$/

/** Segments of [A-Za-z0-9._-] with "/" between; never empty, "." or "..". */
export const isDiskPath = (path: string): boolean =>
  path.length <= 1024 && segments.test(path)

/** The folder that holds a path; "" is the data folder itself. */
export const folderOf = (path: string): string => {
  const slash = path.lastIndexOf("/")
  return slash < 0 ? "" : path.slice(0, slash)
}

/** The file of a data folder that carries the process's lock; no path of the Disk port names it. */
export const lockFileName = "lock"
