import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  defaults,
  type InstanceVerb,
  instanceVerbs,
  type Plain,
  type ServiceVerb,
  type Stage,
  type StepKey,
  serviceVerbs,
  stages,
  type Verdict,
} from "@slipway/shared";
import { agentWire, type healthWire, type platformWire } from "@slipway/shared/wire";
import type { HookInventory, Incoming, Outgoing, Report, StepSpec } from "../steps/types.ts";

/** Longest time a step may be given: what a 32-bit timer can hold. */
const MAX_DURATION_MS = 2_147_483_647;
const MAX_AGE_MS = 4_294_967_295;
/** For a probe that says nothing of its time. */
const PROBE_TIMEOUT_MS = 10_000;

/** The wire's own shapes, but for `readonly`. */
type InventoryInit = MessageInitShape<typeof platformWire.PlatformInventorySchema>;
type HealthInit = MessageInitShape<typeof healthWire.SystemHealthSchema>;

const wireVerdicts: Record<Verdict, agentWire.Verdict> = {
  ok: agentWire.Verdict.OK,
  avoid: agentWire.Verdict.AVOID,
  "no-hook": agentWire.Verdict.NO_HOOK,
  failed: agentWire.Verdict.FAILED,
  "timed-out": agentWire.Verdict.TIMED_OUT,
  cancelled: agentWire.Verdict.CANCELLED,
  interrupted: agentWire.Verdict.INTERRUPTED,
};

const wireStates = {
  unknown: agentWire.StepState.UNSPECIFIED,
  accepted: agentWire.StepState.ACCEPTED,
  ended: agentWire.StepState.ENDED,
} as const;

/** A message of the wire as the core knows it; a text when it cannot be understood. */
export function fromWire(response: agentWire.SessionResponse): Incoming | string {
  const { message } = response;
  switch (message.case) {
    case "welcome": {
      const { controller, controllerVersion, heartbeatIntervalMs } = message.value;
      return { type: "welcome", controller, controllerVersion, heartbeatIntervalMs };
    }
    case "start": {
      const key = keyFrom(message.value.key);
      const spec = specFrom(message.value);
      if (key === undefined) return "StartStep without a key";
      return typeof spec === "string" ? spec : { type: "start", key, spec };
    }
    case "cancel": {
      const key = keyFrom(message.value.key);
      return key === undefined ? "CancelStep without a key" : { type: "cancel", key, reason: message.value.reason };
    }
    case "query": {
      const key = keyFrom(message.value.key);
      return key === undefined ? "QueryStep without a key" : { type: "query", key };
    }
    case "ack":
      return { type: "ack", ids: message.value.outboxIds.map(Number).filter(Number.isSafeInteger) };
    case "refreshHooks":
      return { type: "refresh-hooks", nonce: message.value.nonce };
    case "setCordon":
      return { type: "set-cordon", holder: message.value.holder, reason: message.value.reason };
    case "pushHooks": {
      const { nonce, hash, files } = message.value;
      const plain = files.map(({ name, content, executable }) => ({ name, content, executable }));
      return { type: "push-hooks", nonce, hash, files: plain };
    }
    default:
      return "a message of a kind that this agent does not know; it may be older than the controller";
  }
}

function keyFrom(key: agentWire.StepKey | undefined): StepKey | undefined {
  return key === undefined ? undefined : { run: key.run, host: key.host, step: key.step, attempt: key.attempt };
}

function specFrom({ spec }: agentWire.StartStep): StepSpec | string {
  switch (spec.case) {
    case "hook": {
      const { stage, args, timeoutMs, graceMs } = spec.value;
      if (!(stages as readonly string[]).includes(stage))
        return `StartStep for the unknown stage ${JSON.stringify(stage)}`;
      return {
        kind: "hook",
        stage: stage as Stage,
        args,
        timeoutMs: duration(timeoutMs, defaults.timeoutMs),
        graceMs: duration(graceMs, defaults.graceMs),
      };
    }
    case "inspect":
      return { kind: "inspect" };
    case "reboot":
      return { kind: "reboot", timeoutMs: duration(spec.value.timeoutMs, defaults.rebootWaitMs) };
    case "noop":
      return { kind: "noop" };
    case "instance": {
      const { verb, uuid, name, generation, timeoutMs, move, from, instance } = spec.value;
      if (!Object.hasOwn(instanceVerbs, verb)) return `StartStep with the unknown verb ${JSON.stringify(verb)}`;
      if (verb === "move" && move === undefined) return "StartStep of a move that does not say where to";
      return {
        kind: "instance",
        verb: verb as InstanceVerb,
        uuid,
        name,
        generation,
        timeoutMs: duration(timeoutMs, defaults.timeoutMs),
        ...(move === undefined ? {} : { move: plain(move) }),
        ...(from === "" ? {} : { from }),
        ...(instance === undefined ? {} : { instance: plain(instance) }),
      };
    }
    case "probe": {
      const { system, settings, timeoutMs, going } = spec.value;
      return { kind: "probe", system, settings, timeoutMs: duration(timeoutMs, PROBE_TIMEOUT_MS), going };
    }
    case "service": {
      const { verb, kind: service, name, settings, timeoutMs } = spec.value;
      if (!Object.hasOwn(serviceVerbs, verb)) return `StartStep with the unknown verb ${JSON.stringify(verb)}`;
      const limitMs = duration(timeoutMs, defaults.timeoutMs);
      return { kind: "service", verb: verb as ServiceVerb, service, name, settings, timeoutMs: limitMs };
    }
    default:
      return "StartStep of a kind that this agent does not know; it may be older than the controller";
  }
}

/** A received message as plain data: without what belongs to the serialisation. */
function plain<T>(message: T): Plain<T> {
  if (Array.isArray(message)) return message.map((item: unknown) => plain(item)) as Plain<T>;
  if (typeof message !== "object" || message === null) return message as Plain<T>;
  const facts = Object.entries(message).filter(([name]) => name !== "$typeName" && name !== "$unknown");
  return Object.fromEntries(facts.map(([name, value]) => [name, plain(value)])) as Plain<T>;
}

function duration(wire: bigint, fallbackMs: number): number {
  return wire <= 0n ? fallbackMs : Math.min(Number(wire), MAX_DURATION_MS);
}

/** What the core says, for the wire. */
export function toWire(message: Outgoing): MessageInitShape<typeof agentWire.SessionRequestSchema> {
  switch (message.type) {
    case "hello": {
      const { type: _, hooks, uptimeMs, ...rest } = message;
      const value = { ...rest, hooks: inventoryTo(hooks), uptimeMs: BigInt(Math.max(0, Math.round(uptimeMs))) };
      return { message: { case: "hello", value } };
    }
    case "heartbeat":
      return {
        message: {
          case: "heartbeat",
          value: {
            seq: BigInt(message.seq),
            running: [...message.running],
            inventorySeq: message.inventorySeq,
            inventoryAgeMs: ageOnWire(message.inventoryAgeMs),
          },
        },
      };
    case "inventory":
      return {
        message: {
          case: "inventory",
          value: { ...(message.inventory as InventoryInit), ageMs: ageOnWire(message.ageMs) },
        },
      };
    case "report":
      return { message: { case: "report", value: reportTo(message.report) } };
    case "progress": {
      const { key, percent, message: text } = message;
      const value = percent === undefined ? { key, message: text } : { key, percent, message: text };
      return { message: { case: "progress", value } };
    }
    case "hooks":
      return { message: { case: "hooks", value: { ...inventoryTo(message.inventory), nonce: message.nonce } } };
    case "hooks-pushed": {
      const { nonce, problem, changed, replaced, inventory } = message;
      const value = { nonce, problem, changed, replaced, hooks: inventoryTo(inventory) };
      return { message: { case: "hooksPushed", value } };
    }
  }
}

function ageOnWire(ms: number): number {
  return Math.min(Math.max(0, Math.round(ms)), MAX_AGE_MS);
}

function inventoryTo(inventory: HookInventory) {
  return {
    dir: inventory.dir,
    problem: inventory.problem,
    hooks: inventory.hooks.map(({ stage, file, sha256, problem }) => ({ stage, file, sha256, problem })),
    hash: inventory.hash ?? "",
    push: inventory.push ?? false,
  };
}

function reportTo(report: Report): MessageInitShape<typeof agentWire.StepReportSchema> {
  const { result } = report;
  const head = {
    outboxId: BigInt(report.outboxId),
    key: report.key,
    state: wireStates[report.state],
    bootIdBefore: report.bootId,
  };
  if (result === undefined) return head;
  return {
    ...head,
    verdict: wireVerdicts[result.verdict],
    ...(result.exitCode === undefined ? {} : { exitCode: result.exitCode }),
    signal: result.signal,
    reason: result.reason,
    startedAtMs: BigInt(Math.round(result.startedAtMs)),
    endedAtMs: BigInt(Math.round(result.endedAtMs)),
    durationMs: BigInt(Math.max(0, Math.round(result.durationMs))),
    output: result.output,
    outputBytes: BigInt(result.outputBytes),
    requests: { ...result.requests },
    ...(result.hooks === undefined ? {} : { hooks: inventoryTo(result.hooks) }),
    bootIdBefore: result.bootIdBefore,
    bootIdAfter: result.bootIdAfter,
    hookFile: result.hookFile,
    hookSha256: result.hookSha256,
    rebootedAsAsked: result.rebootedAsAsked ?? false,
    rebootWanted: result.host?.rebootWanted ?? "",
    rebootUnknown: result.host?.rebootUnknown ?? "",
    kernelRunning: result.host?.kernelRunning ?? "",
    kernelNewest: result.host?.kernelNewest ?? "",
    ...(result.instance === undefined ? {} : { instance: result.instance }),
    ...(result.health === undefined ? {} : { health: result.health as HealthInit }),
  };
}
