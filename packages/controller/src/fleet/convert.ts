import type { MessageInitShape } from "@bufbuild/protobuf";
import { NAME_PATTERN, type Inventory as Platform, type StepKey, UUID_PATTERN, type Verdict } from "@slipway/shared";
import { agentWire, type platformWire } from "@slipway/shared/wire";
import type { AgentCommand } from "../coordinator/ports.ts";
import type { Look } from "../domain/action.ts";
import type { StepResult } from "../domain/events.ts";
import type { AgentTask, EffectRef } from "../domain/fleet.ts";
import type { HostFacts, Inventory } from "../store/hosts.ts";

/** Bounds on what one agent may fill the controller's memory with. */
const MAX_HOOKS = 64;
const MAX_LABELS = 64;
const MAX_TEXT = 4_096;
const MAX_INSTANCES = 2_000;

type Spec = NonNullable<Exclude<MessageInitShape<typeof agentWire.StartStepSchema>, agentWire.StartStep>["spec"]>;
export type ToAgent = MessageInitShape<typeof agentWire.SessionResponseSchema>;

const RUN_PATTERN = /^[a-z0-9-]{1,64}$/;
/** The step of a stage, or what is done to something: "move:UUID", "probe:etcd". */
const STEP_PATTERN = /^[A-Za-z-]{1,32}(?::[A-Za-z0-9][A-Za-z0-9._@-]{0,127})?$/;

/** The key of a message; a text when it is malformed. The host is the caller's to compare. */
export function keyFrom(key: agentWire.StepKey | undefined): StepKey | string {
  if (key === undefined) return "a message without a step key";
  if (!RUN_PATTERN.test(key.run)) return `the run ${JSON.stringify(key.run.slice(0, 80))} is no run id`;
  if (!NAME_PATTERN.test(key.host)) return `the host ${JSON.stringify(key.host.slice(0, 80))} is no host name`;
  if (!STEP_PATTERN.test(key.step)) return `the step ${JSON.stringify(key.step.slice(0, 80))} is no step name`;
  if (key.attempt < 1) return "attempts count from 1";
  return { run: key.run, host: key.host, step: key.step, attempt: key.attempt };
}

/** What the agent's word for a state means; undefined for one that this controller does not know. */
export function stateFrom(state: agentWire.StepState): "unknown" | "accepted" | "ended" | undefined {
  switch (state) {
    case agentWire.StepState.UNSPECIFIED:
      return "unknown";
    case agentWire.StepState.ACCEPTED:
      return "accepted";
    case agentWire.StepState.ENDED:
      return "ended";
    default:
      return undefined;
  }
}

/** The verdict; undefined for one that this controller does not know, or none: it is never guessed. */
export function verdictFrom(verdict: agentWire.Verdict): Verdict | undefined {
  switch (verdict) {
    case agentWire.Verdict.OK:
      return "ok";
    case agentWire.Verdict.AVOID:
      return "avoid";
    case agentWire.Verdict.NO_HOOK:
      return "no-hook";
    case agentWire.Verdict.FAILED:
      return "failed";
    case agentWire.Verdict.TIMED_OUT:
      return "timed-out";
    case agentWire.Verdict.CANCELLED:
      return "cancelled";
    case agentWire.Verdict.INTERRUPTED:
      return "interrupted";
    default:
      return undefined;
  }
}

/** How a step ended; a text when the report cannot be understood. */
export function resultFrom(report: agentWire.StepReport): StepResult | string {
  const verdict = verdictFrom(report.verdict);
  if (verdict === undefined) return `the verdict ${report.verdict} is not known to this controller`;
  const { requests } = report;
  return {
    verdict,
    ...(report.exitCode === undefined ? {} : { exitCode: report.exitCode }),
    signal: report.signal,
    reason: report.reason,
    startedAtMs: timeFrom(report.startedAtMs),
    endedAtMs: timeFrom(report.endedAtMs),
    durationMs: timeFrom(report.durationMs),
    output: report.output,
    requests: {
      rebootRequired: requests?.rebootRequired ?? false,
      rerunAfterReboot: requests?.rerunAfterReboot ?? false,
      skip: requests?.skip ?? "",
      message: requests?.message ?? "",
    },
    ...(report.hooks === undefined ? {} : { hooks: hooksOf(inventoryFrom(report.hooks)) }),
    bootIdBefore: report.bootIdBefore,
    bootIdAfter: report.bootIdAfter,
    ...(report.rebootedAsAsked ? { rebootedAsAsked: true } : {}),
    ...(report.rebootWanted === "" ? {} : { rebootWanted: report.rebootWanted }),
    ...(report.instance === undefined ? {} : { instance: lookFrom(report.instance) }),
  };
}

function lookFrom({ bytes, ...look }: platformWire.InstanceLook): Look {
  const { problem, present, state, job, generation, downtimeMs } = look;
  return { problem: short(problem), present, state, job, generation, downtimeMs, bytes: Number(bytes) };
}

/** A host's clock can say anything; what no calendar holds becomes 0, which is "not known". */
function timeFrom(ms: bigint): number {
  return ms < 0n || ms > 8_640_000_000_000_000n ? 0 : Number(ms);
}

/** What an inspection means for a run: is there a Maintenance hook, and what is wrong with the hooks. */
function hooksOf(inventory: Inventory): { maintenance: boolean; problems: string[] } {
  const problems = inventory.problem === "" ? [] : [inventory.problem];
  for (const hook of inventory.hooks)
    if (hook.problem !== "") problems.push(`${hook.stage} hook ${hook.file}: ${hook.problem}`);
  return { maintenance: inventory.hooks.some((h) => h.stage === "Maintenance"), problems };
}

export function inventoryFrom(inventory: agentWire.HookInventory | undefined): Inventory {
  if (inventory === undefined) return { dir: "", problem: "the agent did not tell its hooks", hooks: [] };
  return {
    dir: short(inventory.dir),
    problem: short(inventory.problem),
    hooks: inventory.hooks.slice(0, MAX_HOOKS).map(({ stage, file, sha256, problem }) => ({
      stage: short(stage),
      file: short(file),
      sha256: short(sha256),
      problem: short(problem),
    })),
    hash: short(inventory.hash),
    push: inventory.push,
  };
}

/** A picture of a host's platform. One that cannot be relied on says so in its problem: a guess could make a host look empty. */
export function platformFrom(told: platformWire.PlatformInventory): Platform {
  // How old it was is for whoever hears it; it is no part of what it says.
  const { ageMs: _, ...inventory } = plain(told) as Platform & { ageMs: number };
  return {
    ...inventory,
    instances: inventory.instances.slice(0, MAX_INSTANCES),
    problem: short(inventory.problem || problemOf(inventory)),
  };
}

function problemOf({ instances, platform }: Platform): string {
  if (platform === "") return "its agent does not say which platform it has";
  if (instances.length > MAX_INSTANCES)
    return `${instances.length} instances; at most ${MAX_INSTANCES} of a host are taken in`;
  const seen = new Set<string>();
  for (const { uuid, name } of instances) {
    if (!UUID_PATTERN.test(uuid)) return `instance ${JSON.stringify(name)}: ${JSON.stringify(uuid)} is no uuid`;
    if (name === "") return `instance ${uuid}: it has no name`;
    if (seen.has(uuid)) return `instance ${JSON.stringify(name)}: its uuid ${uuid} is there twice`;
    seen.add(uuid);
  }
  return "";
}

/** A received message as plain data, which a log can keep: without what belongs to the serialisation. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).filter(([name]) => name !== "$typeName" && name !== "$unknown");
  return Object.fromEntries(fields.map(([name, field]) => [name, plain(field)]));
}

export function factsFrom(hello: agentWire.Hello): HostFacts {
  const labels = Object.entries(hello.labels)
    .slice(0, MAX_LABELS)
    .map(([k, v]) => [short(k), short(v)] as const);
  return {
    labels: Object.fromEntries(labels),
    bootId: short(hello.bootId),
    agentVersion: short(hello.agentVersion),
    kernel: short(hello.kernel),
    nodeVersion: short(hello.nodeVersion),
    executor: short(hello.executor),
    hooks: inventoryFrom(hello.hooks),
  };
}

const short = (text: string) => text.slice(0, MAX_TEXT);

/** A command for the wire. */
export function commandTo(command: AgentCommand): ToAgent {
  const key = keyTo(command.ref);
  switch (command.kind) {
    case "start":
      return { message: { case: "start", value: { key, spec: specTo(command.task) } } };
    case "query":
      return { message: { case: "query", value: { key } } };
    case "cancel":
      return { message: { case: "cancel", value: { key, reason: command.reason } } };
  }
}

function keyTo({ run, host, step, attempt }: EffectRef) {
  return { run, host, step, attempt };
}

function specTo(task: AgentTask): Spec {
  switch (task.kind) {
    case "hook": {
      const { stage, args, timeoutMs, graceMs } = task;
      const value = { stage, args: [...args], timeoutMs: BigInt(timeoutMs), graceMs: BigInt(graceMs) };
      return { case: "hook", value };
    }
    case "inspect":
      return { case: "inspect", value: {} };
    case "reboot":
      return { case: "reboot", value: { timeoutMs: BigInt(task.timeoutMs) } };
    case "service": {
      const { verb, service, timeoutMs } = task;
      const { kind, name, settings } = service;
      return { case: "service", value: { verb, kind, name, settings: { ...settings }, timeoutMs: BigInt(timeoutMs) } };
    }
    case "instance": {
      const { kind: _, timeoutMs, ...rest } = task;
      // Read-only here, the same shape there.
      type Value = Extract<Spec, { case: "instance" }>["value"];
      const value = { ...rest, timeoutMs: BigInt(timeoutMs) } as unknown as Value;
      return { case: "instance", value };
    }
  }
}
