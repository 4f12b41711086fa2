import { NAME_PATTERN } from "@slipway/shared";
import { isMap, isScalar, type Node, type ParsedNode } from "yaml";
import type {
  GroupConfig,
  GroupMember,
  MemberCheck,
  ProbeConfig,
  QuorumConfig,
  ServiceConfig,
  ServiceRule,
} from "../domain/quorum.ts";
import { duration, number, oneOf, type Place, type Read, type Reader, shown, word } from "./reader.ts";

/** Kinds of probes that agents know. */
export const probeSystems = [
  "etcd",
  "etcd-v2",
  "gluster",
  "ceph",
  "corosync",
  "pacemaker",
  "galera",
  "rabbitmq",
  "consul",
  "drbd",
  "linstor",
  "vault",
  "systemd",
  "fleet",
  "command",
] as const;

/** Kinds of services that agents can stop and start. */
export const serviceKinds = [
  "systemd",
  "gluster-mounts",
  "gluster",
  "etcd",
  "fleet",
  "pacemaker",
  "ceph-noout",
] as const;

const checkSystems = ["tcp", "dns", "http", "command"] as const;

const name = word(NAME_PATTERN, "write letters, digits, dots, underscores or hyphens, at most 64");
const address = word(/^[A-Za-z0-9._:[\]-]{1,255}$/, "write a host name or an address");
const line = word(/^[^\p{Cc}]{0,1024}$/u, "write a value on one line");
const pattern = word(
  /^[A-Za-z0-9._*=:/-]{1,128}$/,
  "write a host's name with * for any characters, or a label as name=value",
);
const unit = word(/^[A-Za-z0-9:_.@-]{1,255}$/, "write the name of a unit or a service");
const settingName = /^[A-Za-z][A-Za-z0-9-]{0,62}$/;
/** A pool file is no place for them: it is shown to every viewer. */
const secretName = /passw|secret|token$/i;

/** Sections `probes`, `quorum` and `services`. Anything wrong is in the reader's problems. */
export function quorumOf(reader: Reader, root: ReadonlyMap<string, Place>): QuorumConfig {
  const probes = listOf(
    reader,
    root.get("probes"),
    "probes such as - { name: etcd-main, system: etcd, from: [hv1, hv2] }",
    probeOf,
  );
  const groups = listOf(
    reader,
    root.get("quorum"),
    "groups such as - { name: dns, members: [{ instance: ns1 }] }",
    groupOf,
  );
  const services = listOf(
    reader,
    root.get("services"),
    'rules such as - { match: "*", stop: [{ kind: etcd }] }',
    serviceRuleOf,
  );
  unique(reader, root.get("probes"), probes);
  unique(reader, root.get("quorum"), groups);
  return { probes, groups, services };
}

function probeOf(reader: Reader, place: Place): ProbeConfig | undefined {
  const keys = ["name", "system", "from", "views", "settings", "aliases", "outside", "timeout"];
  const given = reader.map(place, keys, "name: etcd-main");
  const own = needed(reader, place, given, "name", name);
  const system = needed(reader, place, given, "system", oneOf(probeSystems));
  const from = listOf(reader, given.get("from"), "a list of hosts, such as [hv1, hv2]", name);
  if (!given.has("from"))
    reader.wrong(place, `${place.name}: there is no from`, "say which hosts can read it, such as from: [hv1, hv2]");
  const views = optional(reader, given, "views", number(1, 16)) ?? Math.min(2, from.length);
  if (views > from.length && from.length > 0)
    reader.wrong(
      given.get("views") ?? place,
      `${place.name}.views: ${views} of ${from.length} hosts`,
      "name as many hosts in from, or ask for fewer views",
    );
  if (own === undefined || system === undefined) return undefined;
  return {
    name: own,
    system,
    from,
    views,
    settings: textsOf(reader, given.get("settings"), line),
    aliases: textsOf(reader, given.get("aliases"), name, /^[A-Za-z0-9._:-]{1,255}$/),
    outside: listOf(reader, given.get("outside"), "a list of addresses", address),
    timeoutMs: optional(reader, given, "timeout", duration(100, 300_000)) ?? 10_000,
  };
}

function groupOf(reader: Reader, place: Place): GroupConfig | undefined {
  const given = reader.map(place, ["name", "members", "needed"], "name: dns");
  const own = needed(reader, place, given, "name", name);
  const members = listOf(reader, given.get("members"), "members such as [{ instance: ns1 }, { host: hv1 }]", memberOf);
  if (members.length < 2)
    reader.wrong(given.get("members") ?? place, `${place.name}.members: ${members.length}`, "name at least two");
  const majority = Math.floor(members.length / 2) + 1;
  const at = given.get("needed");
  const isMajority = isScalar(at?.node) && at.node.value === "majority";
  const least = at && !isMajority ? number(1, Math.max(1, members.length - 1))(reader, at) : majority;
  if (own === undefined || least === undefined) return undefined;
  return { name: own, members, needed: least };
}

function memberOf(reader: Reader, place: Place): GroupMember | undefined {
  const given = reader.map(place, ["host", "instance", "check"], "instance: ns1");
  const host = optional(reader, given, "host", name);
  const instance = optional(reader, given, "instance", line);
  if ((given.has("host") ? 1 : 0) + (given.has("instance") ? 1 : 0) !== 1)
    return reader.wrong(
      place,
      `${place.name}: names ${given.has("host") ? "both a host and an instance" : "neither a host nor an instance"}`,
      "write either host: or instance:",
    );
  const member = host ?? instance;
  if (member === undefined) return undefined;
  const check = given.get("check");
  const asked = check && checkOf(reader, check);
  return { kind: host === undefined ? "instance" : "host", name: member, ...(asked ? { check: asked } : {}) };
}

function checkOf(reader: Reader, place: Place): MemberCheck | undefined {
  const given = reader.map(place, ["system", "settings", "from"], "system: tcp");
  const system = needed(reader, place, given, "system", oneOf(checkSystems));
  const from = optional(reader, given, "from", name);
  if (system === undefined) return undefined;
  return { system, settings: textsOf(reader, given.get("settings"), line), ...(from === undefined ? {} : { from }) };
}

function serviceRuleOf(reader: Reader, place: Place): ServiceRule | undefined {
  const given = reader.map(place, ["match", "stop"], 'match: "*"');
  const match = needed(reader, place, given, "match", pattern);
  const services = listOf(reader, given.get("stop"), "services such as [{ kind: gluster }, { kind: etcd }]", serviceOf);
  return match === undefined ? undefined : { match, services };
}

function serviceOf(reader: Reader, place: Place): ServiceConfig | undefined {
  const given = reader.map(place, ["kind", "name", "settings", "timeout"], "kind: etcd");
  const kind = needed(reader, place, given, "kind", oneOf(serviceKinds));
  const own = optional(reader, given, "name", unit);
  if (kind === "systemd" && own === undefined)
    return reader.wrong(
      place,
      `${place.name}: a systemd service without a name`,
      "name the unit, such as name: nfs-server.service",
    );
  if (kind === undefined) return undefined;
  const timeoutMs = optional(reader, given, "timeout", duration(1_000, 7 * 86_400_000)) ?? 300_000;
  return { kind, name: own ?? "", settings: textsOf(reader, given.get("settings"), line), timeoutMs };
}

/** The items that are right. */
function listOf<T>(
  reader: Reader,
  place: Place | undefined,
  what: string,
  read: (r: Reader, p: Place) => T | undefined,
): T[] {
  if (!place) return [];
  return reader
    .list(place, what)
    .map((item) => read(reader, item))
    .filter((item) => item !== undefined);
}

function optional<T>(reader: Reader, given: ReadonlyMap<string, Place>, key: string, read: Read<T>): T | undefined {
  const place = given.get(key);
  return place && read(reader, place);
}

function needed<T>(
  reader: Reader,
  at: Place,
  given: ReadonlyMap<string, Place>,
  key: string,
  read: Read<T>,
): T | undefined {
  const place = given.get(key);
  if (!place) return reader.wrong(at, `${at.name}: there is no ${key}`, `write ${key}: ...`);
  return read(reader, place);
}

/** A map of free keys with text values. */
function textsOf(
  reader: Reader,
  place: Place | undefined,
  read: Read<string>,
  keys: RegExp = settingName,
): Record<string, string> {
  const found: Record<string, string> = {};
  const { node } = place ?? { node: null };
  if (!place || node === null || (isScalar(node) && node.value === null)) return found;
  if (!isMap(node)) {
    reader.wrong(place, `${place.name}: ${shown(node)} is no map`, "write keys with values");
    return found;
  }
  for (const { key, value } of node.items) {
    const text = isScalar(key) ? String(key.value) : "";
    const at: Place = {
      name: `${place.name}.${text}`,
      node: value as ParsedNode | null,
      line: reader.line(key as Node),
    };
    if (!keys.test(text)) reader.wrong(at, `${place.name}: key ${JSON.stringify(text)}`, "write a plain name");
    else if (secretName.test(text))
      reader.wrong(at, `${at.name}: secrets do not belong into a pool file`, "name a file on the host that holds it");
    else {
      const flagged = isScalar(at.node) && typeof at.node.value === "boolean" ? String(at.node.value) : undefined;
      const read_ = flagged ?? read(reader, at);
      if (read_ !== undefined) found[text] = read_;
    }
  }
  return found;
}

function unique(reader: Reader, place: Place | undefined, named: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name: own } of named) {
    if (place && seen.has(own))
      reader.wrong(place, `${place.name}: ${own} is there twice`, "give each a name of its own");
    seen.add(own);
  }
}
