import type { Instance } from "@slipway/shared";

/**
 * What fleet's agents tell of a unit beside the operator's words, in its metadata: where the platform itself would start it. Lists
 * are separated by spaces.
 */
export interface PlatformRules {
  /** Names, with * ? and [..], that it shares no host with; one saying so is enough for both. */
  readonly conflicts: readonly string[];
  /** Names that it drives off the host on which it is started. */
  readonly replaces: readonly string[];
  /** Names of which each has to be on its host. */
  readonly peers: readonly string[];
  /** Migration addresses of the hosts that it may run on; undefined: any. */
  readonly hosts: readonly string[] | undefined;
  /** One runs on each host: none has to go anywhere. */
  readonly global: boolean;
}

const rules = new WeakMap<Instance, PlatformRules>();

export function platformRules(instance: Instance): PlatformRules {
  let known = rules.get(instance);
  if (known === undefined) {
    const { metadata } = instance;
    const list = (key: string) => (metadata[`fleet.${key}`] ?? "").split(" ").filter((word) => word !== "");
    known = {
      conflicts: list("conflicts"),
      replaces: list("replaces"),
      peers: list("machine-of"),
      hosts: metadata["fleet.machines"] === undefined ? undefined : list("machines"),
      global: metadata["fleet.global"] === "true",
    };
    rules.set(instance, known);
  }
  return known;
}

/** Does either say that they share no host? */
export function conflict(a: Instance, b: Instance): boolean {
  return (
    platformRules(a).conflicts.some((pattern) => globMatches(pattern, b.name)) ||
    platformRules(b).conflicts.some((pattern) => globMatches(pattern, a.name))
  );
}

/** Does either drive the other off? When both do, fleet heeds neither. */
export function drivesOff(a: Instance, b: Instance): boolean {
  const [forth, back] = [
    platformRules(a).replaces.some((pattern) => globMatches(pattern, b.name)),
    platformRules(b).replaces.some((pattern) => globMatches(pattern, a.name)),
  ];
  return forth !== back;
}

const compiled = new Map<string, RegExp | undefined>();

/** Shell patterns as Go's path.Match reads them: * and ? for anything but a slash, [a-z] and [^a-z], \ before what is meant as it is. */
export function globMatches(pattern: string, name: string): boolean {
  if (!compiled.has(pattern)) compiled.set(pattern, globOf(pattern));
  return compiled.get(pattern)?.test(name) === true;
}

/** Nothing for a pattern that is none: it matches nothing. */
function globOf(pattern: string): RegExp | undefined {
  let out = "";
  for (const [part] of pattern.matchAll(/\[\^?(?:\\.|[^\]\\])+\]|\\.|[\s\S]/g)) {
    if (part === "*") out += "[^/]*";
    else if (part === "?") out += "[^/]";
    else if (part.length > 2) out += part.replace(/(?<=^\[\^?.*)\[/g, "\\[");
    else if (part === "[" || part === "\\") return undefined;
    else out += (part.length === 2 ? part.slice(1) : part).replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
  }
  try {
    return new RegExp(`^${out}$`, "s");
  } catch {
    return undefined;
  }
}
