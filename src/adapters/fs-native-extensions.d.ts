/** The part of fs-native-extensions that the disk adapter uses: kernel locks that end with their process. It ships no types. */
declare module "fs-native-extensions" {
  /** Locks the whole file exclusively, without waiting. False when another open file holds it. */
  export const tryLock: (fd: number, offset?: number, length?: number, options?: { readonly shared?: boolean }) => boolean
  /** Frees it. Closing the descriptor or ending the process, however it ends, does the same. */
  export const unlock: (fd: number, offset?: number, length?: number) => void
}
