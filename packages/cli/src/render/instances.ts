import type { operatorWire, platformWire } from "@slipway/shared/wire";
import { sizeText } from "./size.ts";
import { age, clean, type Paint, pad, reasonText, table, width, wrap } from "./text.ts";

const LINE = 100;

export function renderInstances(
  { instances, unknown }: operatorWire.ListInstancesResponse,
  now: number,
  paint: Paint,
): string[] {
  const rows = instances.map((i) => [
    clean(i.facts?.name ?? ""),
    clean(i.host),
    stateText(i),
    String(i.facts?.vcpus ?? 0),
    sizeText(i.facts?.memoryMib ?? 0),
    clean(i.policy),
    age(Number(i.readAtMs), now),
    clean(i.run) || "-",
  ]);
  const lines =
    rows.length === 0
      ? ["no instance"]
      : table([["INSTANCE", "HOST", "STATE", "VCPUS", "MEMORY", "POLICY", "READ", "RUN"], ...rows], paint);
  if (unknown.length > 0) lines.push("", paint.yellow("not known"), ...unknown.map((r) => `  ${reasonText(r)}`));
  return lines;
}

function stateText({ facts, fresh }: operatorWire.InstanceView): string {
  const job = facts?.job ? `, ${clean(facts.job)}` : "";
  return `${clean(facts?.state ?? "unknown")}${job}${fresh ? "" : " (old)"}`;
}

export function renderInstance(
  { instance, targets }: operatorWire.GetInstanceResponse,
  now: number,
  paint: Paint,
  columns = LINE,
): string[] {
  const facts = instance?.facts;
  if (instance === undefined || facts === undefined) return ["the controller sent no view of it"];
  const rows: string[][] = [
    ["instance", `${clean(facts.name)}  ${clean(facts.uuid)}`],
    ["host", `${clean(instance.host)}, cluster ${clean(instance.cluster)}`],
    ["also on", instance.alsoOn.map(clean).join(", ")],
    ["state", `${stateText(instance)}${facts.stateReason === "" ? "" : ` (${clean(facts.stateReason)})`}`],
    ["read", `${age(Number(instance.readAtMs), now)}${instance.fresh ? "" : ", too old to act on"}`],
    ["run", clean(instance.run) || "-"],
    ["size", sizeOf(facts)],
    ["processor", words(facts.cpuMode, facts.cpuModel, facts.cpuFeatures.map((f) => `+${f}`).join(" "))],
    ["machine", words(facts.virtType, facts.machineType)],
    ["disks", facts.disks.map(diskText).join("\n")],
    ["devices", facts.devices.map((d) => `${clean(d.kind)} ${clean(d.name)}`).join("\n")],
    ["networks", facts.nics.map((n) => `${clean(n.kind)} ${clean(n.source)}`).join("\n")],
    ["pinned", clean(facts.pinned)],
    ["saved", facts.saved ? "its memory is saved; its next start goes on from there" : ""],
    [
      "kept",
      words(
        facts.persistent ? "defined for good" : "transient: gone when it stops",
        facts.autostart ? "starts with its host" : "",
        facts.guestAgent ? "guest agent answers" : "",
      ),
    ],
    ["generation", facts.generation === 0 ? "" : String(facts.generation)],
    ...instance.settings.map((s) => [clean(s.name), `${clean(s.value)}  ${paint.dim(`(${clean(s.from)})`)}`]),
  ];
  const shown = rows.filter(([, value]) => value !== "").flatMap(([name = "", value = ""]) => several(name, value));
  const lines = table([["", ""], ...shown]).slice(1);
  if (targets.length === 0) return [...lines, "", "there is no other host in its cluster"];
  // What ties an instance to its host is the same for all targets, and is said once.
  const common = new Set(targets.map((t) => JSON.stringify(t.reasons.map(reasonText))));
  if (targets.length > 1 && common.size === 1 && !targets[0]?.possible)
    return [...lines, "", paint.bold("could go nowhere"), ...reasonRows("", targets[0]?.reasons ?? [], columns)];
  const names = Math.max(...targets.map((t) => width(clean(t.host))));
  lines.push("", paint.bold("could go to"));
  for (const { host, possible, reasons } of targets) {
    const name = pad(clean(host), names);
    lines.push(...(possible ? [`  ${name}  ${paint.green("yes")}`] : reasonRows(`${name}  `, reasons, columns)));
  }
  return lines;
}

/** Reasons beneath each other behind a name, wrapped. */
function reasonRows(name: string, reasons: readonly operatorWire.Reason[], columns: number): string[] {
  const room = columns - 2 - width(name);
  return reasons
    .flatMap((reason) => wrap(reasonText(reason).split(" "), room))
    .map((line, i) => `  ${i === 0 ? name : " ".repeat(width(name))}${line}`);
}

/** One row per line of the value. */
function several(name: string, value: string): string[][] {
  return value.split("\n").map((line, i) => [i === 0 ? name : "", line]);
}

const words = (...parts: readonly string[]) => parts.map(clean).filter(Boolean).join(", ");

function sizeOf(facts: platformWire.Instance): string {
  const most = facts.memoryMaxMib > facts.memoryMib ? ` (at most ${sizeText(facts.memoryMaxMib)})` : "";
  const pages = facts.hugepageKib > 0 ? `, pages of ${sizeText(facts.hugepageKib / 1024)}` : "";
  const nodes = facts.numaNodes.length > 0 ? `, NUMA ${facts.numaNodes.join(",")}` : "";
  return `${facts.vcpus} ${facts.vcpus === 1 ? "vCPU" : "vCPUs"}, ${sizeText(facts.memoryMib)}${most}${pages}${nodes}`;
}

function diskText(disk: platformWire.Disk): string {
  const where =
    disk.sharedAs !== "" ? `shared (${clean(disk.sharedAs)})` : disk.source === "" ? "" : "only on its host";
  const pool = disk.pool === "" ? "" : `pool ${clean(disk.pool)}`;
  const size = disk.sizeMib > 0 ? sizeText(disk.sizeMib) : "";
  return `${clean(disk.target)}  ${words(disk.source || "empty", size, pool, where, disk.readonly ? "read-only" : "")}`;
}

/** The platform of a host, for `host show`: rows of name and value. */
export function platformRows(platform: operatorWire.HostPlatform, now: number): string[][] {
  const { capacity } = platform;
  const share = (used: number, limit: number) => (limit > 0 ? `, ${Math.round((100 * used) / limit)} %` : "");
  const rows = [
    ["platform", capacity?.version.includes(platform.platform) ? clean(capacity.version) : clean(platform.platform)],
    ["problem", clean(platform.problem)],
    ["read", `${age(Number(platform.readAtMs), now)}${platform.fresh ? "" : ", too old to act on"}`],
  ];
  if (platform.platform === "none") return rows.filter(([, value]) => value !== "");
  rows.push(
    [
      "memory",
      `${sizeText(platform.memoryUsedMib)} of ${sizeText(platform.memoryLimitMib)}${share(platform.memoryUsedMib, platform.memoryLimitMib)}`,
    ],
    ["vcpus", `${platform.vcpusUsed} of ${platform.vcpusLimit}${overcommit(platform)}`],
    ["instances", `${platform.instances}, ${platform.instancesRunning} running`],
    ["cordon mark", platform.cordonedBy === "" ? "" : `held by ${clean(platform.cordonedBy)}`],
    ["migrates by", words(capacity?.migrationUri ?? "", capacity?.migrationAddress ?? "")],
  );
  return rows.filter(([, value]) => value !== "");
}

function overcommit({ vcpusLimit, capacity }: operatorWire.HostPlatform): string {
  const cpus = capacity?.cpus ?? 0;
  return cpus === 0 ? "" : `  (${cpus} processors, each ${Number((vcpusLimit / cpus).toFixed(2))} times)`;
}
