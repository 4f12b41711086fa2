import { fail, whole } from "../probes/answer.ts";
import { clientUrl, etcdMembers, parseEtcd } from "../probes/etcd/parse.ts";
import { askEtcd, post, tlsOf } from "../probes/etcd/probe.ts";
import { unitName } from "../probes/systemd/probe.ts";
import { type Service, type ServiceContext, until } from "./service.ts";
import { isDown, startUnits, stopUnits, unitStates } from "./systemd.ts";

/** etcd hands over in well under an election timeout; a follower that lags may need a few tries. */
const MOVE_MS = 5_000;

interface Own {
  readonly unit: string;
  readonly endpoint: string;
  readonly tls: ReturnType<typeof tlsOf>;
}

function read({ settings }: ServiceContext): Own {
  const unit = unitName(settings.text("unit", "etcd"));
  const endpoint = settings.url("endpoint", "http://127.0.0.1:2379");
  const tls = tlsOf(settings);
  settings.end();
  return { unit, endpoint, tls };
}

/** The cluster as the member of this host sees it. */
async function look(context: ServiceContext, { endpoint, tls }: Own) {
  const answers = await askEtcd(context, endpoint, tls);
  const { header, members: listed } = etcdMembers(answers.members);
  const health = parseEtcd(answers);
  const [set] = health.sets;
  if (set === undefined) fail(health.reasons.join("; "));
  const at = listed.findIndex((member) => member.ID === header.member_id);
  const own = set.members[at] ?? fail(`etcd at ${endpoint} is no member of its own cluster`);
  return { health, set, listed, own };
}

/**
 * etcd. The others must have a majority without this member, and the leader moves off it before it stops. It is back once it is a
 * healthy member again. Settings: `unit` (default etcd), `endpoint` of this host's member, `ca`, `cert`, `key`.
 */
export const etcdService: Service = {
  kind: "etcd",
  async state(context) {
    const { unit } = read(context);
    const [found] = await unitStates(context, [unit]);
    if (found === undefined || found.load !== "loaded") fail(`unit ${unit} is not on this host`);
    return isDown(found) ? "stopped" : "running";
  },

  async stop(context) {
    const own = read(context);
    const before = await look(context, own);
    if (before.health.state === "unknown") fail(`etcd cannot be read: ${before.health.reasons.join("; ")}`);
    const others = before.set.members.filter((m) => m !== before.own && m.state === "up" && m.votes > 0);
    if (before.own.votes > 0 && others.length < before.set.needed) {
      const missing = before.set.members.filter((m) => m !== before.own && m.state !== "up").map((m) => m.name);
      fail(
        `etcd would lose its quorum: without ${before.own.name} ${others.length} of ${before.set.needed} needed members are left${missing.length > 0 ? ` (${missing.join(", ")} not up)` : ""}`,
      );
    }
    if (before.own.roles.includes("leader")) await moveLeader(context, own, before);
    await stopUnits(context, [own.unit]);
    await until(context, () => leaderless(context, own, before));
  },

  async start(context) {
    const own = read(context);
    await startUnits(context, [own.unit]);
    await until(context, () => notWell(context, own).catch((thrown: Error) => thrown.message));
  },

  async check(context) {
    const problem = await notWell(context, read(context));
    if (problem !== "") fail(problem);
  },
};

async function notWell(context: ServiceContext, read: Own): Promise<string> {
  const { health, own } = await look(context, read);
  if (own.state !== "up") return `etcd member ${own.name} is ${own.state} (${own.note})`;
  if (own.roles.includes("learner")) return `etcd member ${own.name} is a learner`;
  // It may be the only one that is back; that others are missing is for the gate to judge.
  return (
    health.reasons.find(
      (reason) => reason.startsWith(`etcd member ${own.name} `) || reason.startsWith(`etcd member ${own.name}:`),
    ) ?? ""
  );
}

type Looked = Awaited<ReturnType<typeof look>>;

/** Only the leader can hand over; to a healthy voter, in the order of names. */
async function moveLeader(context: ServiceContext, own: Own, before: Looked): Promise<void> {
  const heirs = before.listed
    .map((listed, i) => ({ listed, member: before.set.members[i] }))
    .filter(({ member }) => member !== before.own && member?.state === "up" && member.votes > 0 && member.note === "")
    .sort((a, b) => (a.listed.name < b.listed.name ? -1 : 1));
  if (heirs.length === 0) fail("etcd: no healthy member can take over the lead");
  const refusals: string[] = [];
  for (const { listed } of heirs) {
    context.progress(`etcd: the lead moves to ${listed.name}`);
    const body = JSON.stringify({ targetID: listed.ID });
    const request = post(`${own.endpoint}/v3/maintenance/transfer-leadership`, body, own.tls);
    try {
      whole(await context.request(request, { timeoutMs: MOVE_MS }), `to ${listed.name}`, [200]);
      const { own: member } = await look(context, own);
      if (!member.roles.includes("leader")) {
        context.note(`the lead moved to ${listed.name} first`);
        return;
      }
      refusals.push(`to ${listed.name}: it is still here`);
    } catch (thrown) {
      refusals.push(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }
  fail(`etcd: the lead cannot be moved off this host (${refusals.join("; ")})`);
}

/** After the stop, one of the others has to say who leads. */
async function leaderless(context: ServiceContext, own: Own, before: Looked): Promise<string> {
  const others = before.listed.filter((_, i) => before.set.members[i] !== before.own);
  if (others.length === 0) return "";
  for (const listed of others) {
    const url = clientUrl(listed);
    if (url === undefined) continue;
    const answer = await context.request(post(`${url}/v3/maintenance/status`, "{}", own.tls), { timeoutMs: MOVE_MS });
    if (answer.exitCode === 200 && /"leader":"[1-9]\d*"/.test(answer.stdout)) return "";
  }
  return "etcd: no other member sees a leader";
}
