import { naturalCompare, SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";

import { discover, type Finding, type Unclear } from "../quorum/discovery.ts";
import { hostNamed } from "../quorum/reading.ts";
import type { ApiPorts } from "./deps.ts";
import { setView } from "./health.ts";
import { reasonView } from "./views.ts";

/** Kinds of systems that are found without any setting. */
const KINDS = [
  ...["etcd", "gluster", "ceph", "corosync", "pacemaker", "rabbitmq"],
  ...["consul", "drbd", "linstor", "vault", "fleet"],
] as const;
/** Bound on one question to one host, in milliseconds. */
const ASK_MS = 8_000;

/** Asks connected agents what they find. Errors: `not-found` when no host of the cluster is connected. */
export async function discoverSystems(
  { registry, probes, keeper, book }: Pick<ApiPorts, "registry" | "probes" | "keeper" | "book">,
  { cluster }: operatorWire.DiscoverSystemsRequest,
) {
  const asked = registry
    .entries()
    .filter((e) => e.connected && (cluster === "" || e.facts.labels["cluster"] === cluster))
    .map((e) => e.name)
    .sort(naturalCompare);
  if (asked.length === 0)
    throw new SlipwayError("not-found", `no connected host${cluster ? ` in cluster ${JSON.stringify(cluster)}` : ""}`, {
      fix: "see slipway host list",
    });
  const findings = await Promise.all(
    asked.flatMap((host) =>
      KINDS.map(async (system): Promise<Finding> => {
        const request = { host, system, settings: {}, timeoutMs: ASK_MS, going: [] };
        const cluster = registry.entry(host)?.facts.labels["cluster"] ?? "";
        return { host, cluster, system, health: await probes.read(request) };
      }),
    ),
  );
  const names = new Set(registry.names());
  const addresses = addressesOf({ registry, book });
  const { systems, unclear } = discover(findings, {
    hostOf: (address) => hostNamed(address, names, {}),
    hostWith: (address) => addresses.get(address),
  });
  const taken = new Set(keeper.quorum.probes.map((p) => p.name));
  return {
    asked,
    unclear: [...Map.groupBy(unclear, (u) => `${u.system} ${u.reason}`).values()].map((alike) => {
      const [{ system, reason }] = alike as [Unclear, ...Unclear[]];
      const hosts = alike.map((u) => u.host).join(", ");
      return reasonView({ rule: "not-readable", subject: system, text: `${system} on ${hosts}: ${reason}`, fix: "" });
    }),
    systems: systems.map((found) => {
      const known = keeper.quorum.probes.find(
        (p) => p.system === found.system && p.from.some((host) => found.from.includes(host)),
      );
      const name = freeName(found.system, taken);
      taken.add(name);
      return {
        ...{ name: known?.name ?? name, system: found.system, state: found.state, version: found.version },
        from: [...found.from],
        aliases: { ...found.aliases },
        unplaced: [...found.unplaced],
        sets: found.sets.map(setView),
        knownAs: known?.name ?? "",
      };
    }),
  };
}

/** Addresses by which hosts said they are reached ("tcp://10.1.0.2"). */
function addressesOf({ registry, book }: Pick<ApiPorts, "registry" | "book">): Map<string, string> {
  return new Map(
    registry.entries().flatMap((entry) => {
      const told = book.of(entry)?.inventory.capacity?.migrationAddress ?? "";
      const address = told.replace(/^\w+:\/\//, "").replace(/\/.*$/, "");
      return address === "" ? [] : [[address, entry.name] as const];
    }),
  );
}

/** "etcd", else "etcd-2" ... */
function freeName(system: string, taken: ReadonlySet<string>): string {
  if (!taken.has(system)) return system;
  for (let n = 2; ; n++) if (!taken.has(`${system}-${n}`)) return `${system}-${n}`;
}
