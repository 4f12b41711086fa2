import { SlipwayError } from "@slipway/shared";
import { hookSetHash, hookSetProblems } from "@slipway/shared/node";
import type { operatorWire } from "@slipway/shared/wire";
import { hostOf } from "../domain/run.ts";
import type { HookSet, PushAnswer } from "../fleet/pushes.ts";
import type { ApiPorts } from "./deps.ts";
import { hostsOfScope } from "./scope.ts";

const DEFAULT_PUSH_MS = 15_000;
const MAX_PUSH_MS = 600_000;

/** Why a host is not even asked to take pushed hooks; the agent asks itself the same once more. */
function refusal({ registry, coordinator }: ApiPorts, name: string): string {
  const { facts, connected } = registry.required(name);
  if (connected && !facts.hooks.push)
    return "it does not take pushed hooks; set slipway.hooks.push=true in its agent.properties and restart slipway-agent";
  const run = coordinator.active().find((r) => {
    const host = hostOf(r, name);
    return host !== undefined && host.outcome === undefined;
  });
  if (run) return `it is in run ${run.spec.run}, whose checks saw its present hooks; wait for the run, or abort it`;
  return "";
}

/** Errors: `bad-input` for files that no host would take, or a wrong scope. What a single host refuses is its answer. */
export async function pushHooks(
  ports: ApiPorts,
  request: operatorWire.PushHooksRequest,
): Promise<{ hosts: (PushAnswer & { hash: string })[] }> {
  const set = setOf(request);
  const names = hostsOfScope(ports, request.scope);
  const timeoutMs = Math.min(Number(request.timeoutMs) || DEFAULT_PUSH_MS, MAX_PUSH_MS);
  const refused = new Map(names.map((name) => [name, refusal(ports, name)]));
  const asked = names.filter((name) => refused.get(name) === "");
  const answers = new Map((await ports.pushes.push(asked, set, timeoutMs)).map((a) => [a.host, a]));
  const hosts = names.map((host) => ({
    host,
    ok: false,
    changed: false,
    problem: refused.get(host) ?? "",
    replaced: "",
    ...answers.get(host),
    hash: ports.registry.entry(host)?.facts.hooks.hash ?? "",
  }));
  return { hosts };
}

/** For the audit log: what was to come where, and where it did not. */
export function pushText(hosts: readonly { host: string; ok: boolean }[] | undefined): string {
  if (!hosts) return "";
  const failed = hosts.filter((h) => !h.ok).map((h) => h.host);
  return `${hosts.length - failed.length} of ${hosts.length} hosts have it${failed.length > 0 ? `, not ${failed.join(",")}` : ""}`;
}

function setOf({ files, hash }: operatorWire.PushHooksRequest): HookSet {
  const problems = hookSetProblems(files);
  const [first] = problems;
  if (first)
    throw new SlipwayError(
      "bad-input",
      `hooks: ${first.file === "" ? "" : `${first.file} `}${first.text}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ""}`,
    );
  const actual = hookSetHash(files);
  if (actual !== hash)
    throw new SlipwayError("bad-input", `hooks: the files have the hash ${actual}, the request says ${hash}`, {
      fix: "push them again",
    });
  return {
    hash,
    files: files.map(({ name, content, executable }) => ({ name, content, executable })),
  };
}
