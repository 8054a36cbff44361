/** KeyringError: why a vault's key cannot be had. Sits between the keyring and the operator, who reads it. */
import { Data } from "effect"

/**
 * Damaged: bytes changed. UnknownFormat: no keyring, or a newer version. WrongSecret: intact, but not under this
 * passphrase or key file. WrongProtection: it wants the other kind of secret. BadSecret: no secret could be like this.
 */
export class KeyringError extends Data.TaggedError("KeyringError")<{
  readonly reason: "Damaged" | "UnknownFormat" | "WrongSecret" | "WrongProtection" | "BadSecret"
  readonly detail: string
}> {
  override get message(): string {
    return `vault key: ${this.detail}`
  }
}
