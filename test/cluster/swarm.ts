/** `npm run sim:members -- --seeds N --from N`: stores of several members, one a seed. */
import { drive } from "../replica/drive.ts"
import { runMembers } from "./MemberWorld.ts"

drive("sim:members", "stores", 50, ["operations", "acknowledged", "cuts"], runMembers)
