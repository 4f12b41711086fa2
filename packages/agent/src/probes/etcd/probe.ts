import { fail } from "../answer.ts";
import type { Asker, Probe, TlsPaths } from "../probe.ts";
import type { SettingsReader } from "../settings.ts";
import { clientUrl, type EtcdAnswers, etcdMembers, type MemberAnswers, parseEtcd } from "./parse.ts";

/** For one member; one that is cut off must not use up the time of the others. */
const MEMBER_MS = 3_000;
const DEFAULT_LAG = 1_000;

/**
 * etcd 3.4 and later through its own HTTP gateway. Settings: `endpoint` (default http://127.0.0.1:2379), `ca`, `cert`, `key` (paths),
 * `lag` (log entries that a member may be behind, default 1000).
 */
export const etcdProbe: Probe = {
  system: "etcd",
  async ask(context) {
    const { settings } = context;
    const endpoint = settings.url("endpoint", "http://127.0.0.1:2379");
    const tls = tlsOf(settings);
    const maxLag = settings.count("lag", DEFAULT_LAG);
    settings.end();
    return parseEtcd(await askEtcd(context, endpoint, tls, maxLag));
  },
};

/** Everything that `parseEtcd` reads. */
export async function askEtcd(
  context: Asker,
  endpoint: string,
  tls: TlsPaths,
  maxLag = DEFAULT_LAG,
): Promise<EtcdAnswers> {
  const members = await context.request(post(`${endpoint}/v3/cluster/member/list`, "{}", tls));
  if (members.exitCode === 404)
    fail(`${endpoint} has no /v3 API; it needs etcd 3.4 or later with enable-grpc-gateway: true`);
  const { members: listed } = etcdMembers(members);
  const urls = listed.flatMap((m) => clientUrl(m) ?? []);
  const [alarms, ...perMember] = await Promise.all([
    context.request(post(`${endpoint}/v3/maintenance/alarm`, '{"action":"GET"}', tls), { timeoutMs: MEMBER_MS }),
    ...urls.map((url) => askMember(context, url, tls)),
  ]);
  return { members, alarms, perMember: new Map(perMember), maxLag };
}

async function askMember(context: Asker, url: string, tls: TlsPaths): Promise<[string, MemberAnswers]> {
  const limit = { timeoutMs: MEMBER_MS };
  const status = await context.request(post(`${url}/v3/maintenance/status`, "{}", tls), limit);
  const health = await context.request({ method: "GET", url: `${url}/health`, tls }, limit);
  return [url, { status, health }];
}

export function post(url: string, body: string, tls: TlsPaths) {
  return { method: "POST", url, body, tls } as const;
}

export function tlsOf(settings: SettingsReader): TlsPaths {
  const paths = { ca: settings.path("ca"), cert: settings.path("cert"), key: settings.path("key") };
  if ((paths.cert === undefined) !== (paths.key === undefined)) fail("settings cert and key belong together");
  return {
    ...(paths.ca === undefined ? {} : { ca: paths.ca }),
    ...(paths.cert === undefined ? {} : { cert: paths.cert }),
    ...(paths.key === undefined ? {} : { key: paths.key }),
  };
}
