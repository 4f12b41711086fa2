import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { NAME_PATTERN, nearest } from "@slipway/shared";
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { wrongUse } from "../io.ts";
import { reasonOf } from "../options/run.ts";

/** One host of an embedded pool. */
export interface PoolHost {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absolute directory of its hooks; undefined: its own, in the pool's directory. */
  readonly hooksDir: string | undefined;
  /** Instances that are on it when the pool is made, in the words of the simulated platform's files; each has a name. */
  readonly instances: readonly SeedInstance[];
  /** What it offers, likewise; what is left out has a default. */
  readonly machine: Readonly<Record<string, unknown>>;
}

export interface SeedInstance {
  readonly name: string;
  readonly [word: string]: unknown;
}

/** Far more agents than this are no embedded pool any more, but a load test. */
const MAX_HOSTS = 500;
const LABEL_KEY = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/;
/** Commas and equals signs separate labels in agent.properties. */
const LABEL_VALUE = /^[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,62})$/;

export const defaultLabels = { cluster: "c1", pod: "p1", zone: "z1" } as const;

/** "cluster=c1,pod=p1" over `base`, the labels of an embedded pool. */
export function parseLabels(
  text: string | undefined,
  base: Readonly<Record<string, string>> = defaultLabels,
): Record<string, string> {
  const labels: Record<string, string> = { ...base };
  for (const pair of text === undefined ? [] : text.split(",")) {
    const at = pair.indexOf("=");
    const [key, value] = [pair.slice(0, Math.max(0, at)).trim(), pair.slice(at + 1).trim()];
    if (at < 1 || !LABEL_KEY.test(key) || !LABEL_VALUE.test(value))
      throw wrongUse(`--labels: "${pair}" is no label`, "write key=value pairs, such as cluster=c1,pod=p1,zone=z1");
    labels[key] = value;
  }
  return labels;
}

/** The hosts hv1..hvN with the same labels. */
export function numberedHosts(
  count: string | undefined,
  labels: Record<string, string>,
  hooksDir?: string,
  instances = 0,
): PoolHost[] {
  const n = Number(count);
  if (count === undefined)
    throw wrongUse("--hosts: is missing", "say how many hosts the pool has, or give --pool FILE");
  if (!/^\d+$/.test(count) || n < 1 || n > MAX_HOSTS)
    throw wrongUse(`--hosts: "${count}" is no number from 1 to ${MAX_HOSTS}`, "write for example --hosts 6");
  return Array.from({ length: n }, (_, i) => ({
    ...{ name: `hv${i + 1}`, labels, hooksDir, machine: {} },
    instances: Array.from({ length: instances }, (_, k) => ({ name: `vm${i * instances + k + 1}` })),
  }));
}

/**
 * Reads a pool file: `hosts:` is a list of `{name, labels, hooksDir, instances, machine}`. Labels are laid over `labels`, `hooksDir` is
 * relative to the file.
 */
export function readPoolFile(file: string, labels: Record<string, string>, hooksDir?: string): PoolHost[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw wrongUse(`--pool: ${file} ${reasonOf(cause)}`, "name a readable YAML file");
  }
  return parsePool(file, text, labels, hooksDir);
}

export function parsePool(file: string, text: string, labels: Record<string, string>, hooksDir?: string): PoolHost[] {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const fail = (node: unknown, problem: string, fix: string) =>
    wrongUse(`${file}:${counter.linePos((node as Node | null)?.range?.[0] ?? 0).line}: ${problem}`, fix);
  const broken = document.errors[0];
  if (broken)
    throw wrongUse(
      `${file}:${counter.linePos(broken.pos[0]).line}: not valid YAML: ${broken.message.split("\n")[0]}`,
      "correct that line",
    );
  const shape = "write hosts: [{name: hv1, labels: {cluster: c1}}]";
  const root = document.contents;
  if (!isMap(root)) throw fail(root, "is no map with the key hosts", shape);
  for (const { key } of root.items)
    if (!isScalar(key) || key.value !== "hosts") throw fail(key, `key "${String(key)}" is unknown`, shape);
  const list = root.get("hosts", true) as unknown;
  if (!isSeq(list) || list.items.length === 0) throw fail(list ?? root, "hosts is no list of hosts", shape);
  if (list.items.length > MAX_HOSTS) throw fail(list, `${list.items.length} hosts`, `at most ${MAX_HOSTS} are taken`);

  const names = new Set<string>();
  const instanceNames = new Set<string>();
  return list.items.map((item): PoolHost => {
    if (!isMap(item)) throw fail(item, "a host is no map", shape);
    const host = { name: "", labels: { ...labels }, hooksDir, instances: [] as SeedInstance[], machine: {} };
    for (const { key, value } of item.items) {
      const word = isScalar(key) ? String(key.value) : "";
      const textual =
        isScalar(value) && ["string", "number"].includes(typeof value.value) ? String(value.value) : undefined;
      if (word === "name" && textual !== undefined) host.name = textual;
      else if (word === "hooksDir" && textual) host.hooksDir = resolve(dirname(resolve(file)), textual);
      else if (word === "labels" && isMap(value)) {
        for (const pair of value.items) {
          const label = String(isScalar(pair.key) ? pair.key.value : "");
          const content = String(isScalar(pair.value) ? pair.value.value : "");
          if (!LABEL_KEY.test(label) || !LABEL_VALUE.test(content))
            throw fail(pair.key, `label "${label}: ${content}" cannot be used`, "write words without commas or blanks");
          host.labels[label] = content;
        }
      } else if (word === "machine" && isMap(value)) host.machine = value.toJSON() as Record<string, unknown>;
      else if (word === "instances" && isSeq(value)) {
        for (const one of value.items) {
          const named = (isMap(one) ? one.toJSON() : { name: (one as { value?: unknown }).value }) as SeedInstance;
          if (typeof named.name !== "string" || named.name === "")
            throw fail(one, "an instance has no name", "write instances: [vm1, { name: vm2, memoryMib: 2048 }]");
          if (instanceNames.has(named.name))
            throw fail(one, `instance ${named.name} is there twice`, "give every instance its own name");
          instanceNames.add(named.name);
          host.instances.push(named);
        }
      } else {
        const keys = ["name", "labels", "hooksDir", "instances", "machine"];
        const meant = nearest(word, keys);
        if (keys.includes(word)) throw fail(key, `${word} has the wrong form`, shape);
        throw fail(
          key,
          `key "${word}" is unknown`,
          meant ? `did you mean "${meant}"?` : `the keys are ${keys.join(", ")}`,
        );
      }
    }
    if (!NAME_PATTERN.test(host.name))
      throw fail(item, `host name "${host.name}" cannot be used`, "use letters, digits, dots, dashes, at most 64");
    if (names.has(host.name)) throw fail(item, `host ${host.name} is there twice`, "give every host its own name");
    names.add(host.name);
    return host;
  });
}
