import { type Instance, nearest } from "@slipway/shared";
import { type InstanceRule, type Policy, type PoolConfig, policies } from "../domain/pool.ts";
import type { Reason } from "../domain/words.ts";

/** What holds for one instance, out of its own metadata and the pool file. */
export interface Settled {
  readonly policy: Policy;
  /** For the balance of hosts; default: its memory in MiB. */
  readonly weight: number;
  readonly tier: number;
  /** Empty: none. */
  readonly group: string;
  readonly apart: string;
  readonly home: string;
  readonly requires: readonly string[];
  /** What is written cannot be understood. Nothing is guessed: the instance blocks what it takes part in until it is put right. */
  readonly problem: Reason | undefined;
}

/**
 * Word by word the instance's metadata (`policy`, `weight`, `tier`, `group`, `apart`, `home`, `requires`: comma-separated) counts
 * before the first rule of the pool file whose `match` fits its name. Where neither names a policy the platform may: `default-policy`.
 */
export function settle(instance: Instance, pool: PoolConfig): Settled {
  const rule = ruleOf(instance.name, pool);
  const own = instance.metadata;
  let problem: Reason | undefined;
  const wrong = (key: string, fix: string) => {
    problem ??= {
      rule: "instance-metadata",
      subject: instance.name,
      text: `${instance.name}: its metadata says ${key} ${JSON.stringify(own[key])}, which is not known`,
      fix,
    };
  };
  const text = (key: "group" | "apart" | "home"): string => own[key]?.trim() || rule?.[key] || "";
  const number = (key: "weight" | "tier", fallback: number, valid: (n: number) => boolean, fix: string): number => {
    const given = own[key]?.trim();
    if (!given) return rule?.[key] ?? fallback;
    const value = Number(given);
    if (valid(value)) return value;
    wrong(key, fix);
    return rule?.[key] ?? fallback;
  };

  const policyOf = (key: "policy" | "default-policy"): Policy | undefined => {
    const word = own[key]?.trim();
    if (!word) return undefined;
    if (Object.hasOwn(policies, word)) return word as Policy;
    const near = nearest(word, Object.keys(policies));
    wrong(key, near ? `did you mean ${near}?` : `choose one of ${Object.keys(policies).join(", ")}`);
    return undefined;
  };
  const policy = policyOf("policy") ?? rule?.policy ?? policyOf("default-policy") ?? "migrate";
  return {
    policy,
    weight: number("weight", memoryOf(instance), (n) => Number.isFinite(n) && n >= 0, "give a number, 0 or more"),
    tier: number("tier", 0, Number.isSafeInteger, "give a whole number"),
    group: text("group"),
    apart: text("apart"),
    home: text("home"),
    requires: own["requires"]?.trim() ? words(own["requires"]) : (rule?.requires ?? []),
    problem,
  };
}

/** Memory that an instance may come to use, in MiB: what placement counts. */
export function memoryOf(instance: Instance): number {
  return Math.max(instance.memoryMaxMib, instance.memoryMib);
}

function words(list: string): string[] {
  return list
    .split(",")
    .map((w) => w.trim())
    .filter((w) => w !== "");
}

type Matcher = (name: string) => boolean;
const matchers = new WeakMap<readonly InstanceRule[], readonly Matcher[]>();

function ruleOf(name: string, pool: PoolConfig): InstanceRule | undefined {
  if (pool.instances.length === 0) return undefined;
  let compiled = matchers.get(pool.instances);
  if (compiled === undefined) {
    compiled = pool.instances.map((r) => matcher(r.match));
    matchers.set(pool.instances, compiled);
  }
  const at = compiled.findIndex((matches) => matches(name));
  return at < 0 ? undefined : pool.instances[at];
}

function matcher(pattern: string): Matcher {
  const regex = new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*+/g, ".*")}$`, "s");
  return (name) => regex.test(name);
}
