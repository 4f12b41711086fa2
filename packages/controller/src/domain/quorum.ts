/** What a pool file says of the replicated systems of a pool: sections `probes`, `quorum` and `services`. */
export interface QuorumConfig {
  readonly probes: readonly ProbeConfig[];
  readonly groups: readonly GroupConfig[];
  readonly services: readonly ServiceRule[];
}

/** A system that agents read. */
export interface ProbeConfig {
  /** The operator's name for it, "etcd-main". */
  readonly name: string;
  /** Kind of probe: etcd, gluster, ceph, command ... */
  readonly system: string;
  /** Hosts that can read it; those that are out are not asked. */
  readonly from: readonly string[];
  /** From how many of them it has to be read at once. Default 2, or 1 where `from` names one only. */
  readonly views: number;
  /** Handed to the probe as they are: endpoints, paths of certificates, a volume, a unit. Never secrets. */
  readonly settings: Readonly<Record<string, string>>;
  /** Other names and addresses of hosts of the pool, as the system's members are known by. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Addresses of members that run on no host of the pool. */
  readonly outside: readonly string[];
  /** Bound on one reading, in milliseconds. Default 10,000. */
  readonly timeoutMs: number;
}

/** Members of which enough must stay up: hosts, or instances such as the DNS servers of a site. */
export interface GroupConfig {
  readonly name: string;
  readonly members: readonly GroupMember[];
  /** How many must be up at any time. Default: the majority. */
  readonly needed: number;
}

export interface GroupMember {
  readonly kind: "host" | "instance";
  readonly name: string;
  /** How it is found to be well, beyond that its host or it itself runs; absent: that is enough. */
  readonly check?: MemberCheck;
}

/** Asked by the agent of `from`, or of any connected host: tcp, dns, http or command. */
export interface MemberCheck {
  readonly system: "tcp" | "dns" | "http" | "command";
  readonly settings: Readonly<Record<string, string>>;
  readonly from?: string;
}

/** Services of a host that are stopped, in this order, after its instances have left, and started in the opposite order. */
export interface ServiceRule {
  /** Name of a host with `*` for any characters, or a label, `name=value`. First match wins. */
  readonly match: string;
  readonly services: readonly ServiceConfig[];
}

export interface ServiceConfig {
  /** Built-in kind: systemd, gluster-mounts, gluster, etcd, fleet, pacemaker, ceph-noout. */
  readonly kind: string;
  /** The unit for systemd; empty where the kind needs none. */
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Bound on stopping and on starting, in milliseconds. Default 300,000. */
  readonly timeoutMs: number;
}

export const noQuorum: QuorumConfig = { probes: [], groups: [], services: [] };

/** The services of a host that are stopped for its turn, in this order: those of the first rule that matches its name or labels. */
export function servicesFor(
  { services }: QuorumConfig,
  host: string,
  labels: Readonly<Record<string, string>>,
): readonly ServiceConfig[] {
  return services.find(({ match }) => matches(match, host, labels))?.services ?? [];
}

/** Does it hang on labels which services those are? Not where a rule by name comes first. */
export function goesByLabels({ services }: QuorumConfig, host: string): boolean {
  return services.find(({ match }) => match.includes("=") || matches(match, host, {}))?.match.includes("=") === true;
}

function matches(match: string, host: string, labels: Readonly<Record<string, string>>): boolean {
  const at = match.indexOf("=");
  if (at >= 0) return labels[match.slice(0, at)] === match.slice(at + 1);
  const parts = match.split("*").map((part) => part.replaceAll(/[.:/-]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(host);
}
