/** `npm run sim:replica -- --seeds N --from N`: clusters of replicas with the real namespace, one a seed. */
import { drive } from "./drive.ts"
import { runWorld } from "./ReplicaWorld.ts"

drive("sim:replica", "clusters", 100, ["applied", "operations", "retried", "installs", "stale", "terms", "members", "steps"], runWorld)
