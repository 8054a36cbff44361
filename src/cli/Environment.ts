/** Environment: the process's environment variables, as a service. */
import { Context } from "effect"

export class Environment extends Context.Service<Environment, Readonly<Record<string, string | undefined>>>()("ouroborosdb/cli/Environment") {}
