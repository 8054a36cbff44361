/** Who belongs, kept by replicas: an operator at one, a node that asks at another, and whoever leads decides nothing of it. */
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { expect, it } from "vitest"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { readMsMax } from "../../src/base/replicaLimits.ts"
import { membershipOver } from "../../src/cluster/MembershipReplica.ts"
import type { Identity } from "../../src/membership/Identity.ts"
import { judgeCertificate } from "../../src/membership/Membership.ts"
import { makeMembership, type MembershipInterface } from "../../src/membership/MembershipService.ts"
import { MembershipStoreError } from "../../src/membership/MembershipStoreService.ts"
import { readAnswer, signAsk } from "../../src/membership/Message.ts"
import { openAuthority } from "../../src/membership/Authority.ts"
import type { Replica } from "../../src/replica/ReplicaService.ts"
import { dayMs, good, joinAskOf, nowMs, sceneOf } from "../membership/fixtures.ts"
import { foundingOf } from "../membership/story.ts"
import { reasonOf, Scene, secondUs } from "../replica/ReplicaScene.ts"

const house = sceneOf(1)
const { pairs } = house
const [first, second] = [house.node(2), house.node(3)]
const at = (replica: Replica, self: Identity): MembershipInterface => makeMembership({ self, pairs, entropy: seededEntropy(seededRandom(5)), store: membershipOver(replica) })

it("members: invited at one replica, a node is let in at another and removed at the third; before the cluster is founded, and without a quorum, all are told so", () => {
  const scene = new Scene(21)
  const early = reasonOf(scene.exit(scene.b, (replica) => membershipOver(replica).read))
  ok(early instanceof MembershipStoreError && early.reason === "Busy" && early.message.includes("the cluster has not begun"), String(early))
  scene.at(scene.a, ({ members }) => members.change({ _tag: "Founded", record: foundingOf(house, first) }))
  const token = scene.at(scene.b, (replica) => at(replica, first).invite({ lifeMs: dayMs, isApproved: false }))
  const asked = signAsk(second, joinAskOf(house, second, token), token)
  const ask = (): ReturnType<typeof readAnswer> => readAnswer(pairs, scene.at(scene.c, (replica) => at(replica, first).answer(asked)), asked, token, nowMs)
  expect(ask()).toMatchObject({ _tag: "JoinPending" })
  // What was changed anywhere shows at every other at once: reads are behind a fence.
  expect(scene.at(scene.a, (replica) => at(replica, first).pending)).toMatchObject([{ node: second.id }])
  scene.at(scene.b, (replica) => at(replica, first).approve(second.id))
  const answer = good(ask())
  ok(answer._tag === "Admitted" && answer.epoch === 2)
  deepStrictEqual(judgeCertificate(pairs, scene.at(scene.b, (replica) => membershipOver(replica).read), answer.certificate, nowMs), { node: second.id })
  // Who was let in lets in: it has the authority's seed.
  good(openAuthority(pairs, answer.authority, house.cluster, answer.sealedAuthority, second))
  strictEqual(scene.at(scene.a, (replica) => at(replica, second).remove(second.id)).members.size, 1)
  expect(judgeCertificate(pairs, scene.at(scene.c, (replica) => membershipOver(replica).read), answer.certificate, nowMs)).toMatchObject({ refused: expect.stringContaining("taken back") as string })
  scene.a.powerOff()
  scene.b.powerOff()
  const beganUs = scene.world.timeline.nowUs
  const cut = reasonOf(scene.exit(scene.c, (replica) => membershipOver(replica).read))
  ok(cut instanceof MembershipStoreError && cut.reason === "Busy" && cut.message.includes("no quorum"), String(cut))
  ok(scene.world.timeline.nowUs - beganUs < readMsMax * 1000 + 5 * secondUs)
})
