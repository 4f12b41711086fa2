import type { ServerWritableStream } from "@grpc/grpc-js";
import { SlipwayError } from "@slipway/shared";
import type { Handlers } from "@slipway/shared/grpc";
import type { Identity } from "@slipway/shared/tls";
import type { operatorWire } from "@slipway/shared/wire";
import type { Auditor } from "./audit.ts";
import type { ApiPorts } from "./deps.ts";
import { discoverSystems } from "./discovery.ts";
import { checkHealth } from "./health.ts";
import { pushHooks, pushText } from "./hooks.ts";
import { HostsApi } from "./hosts.ts";
import { InstancesApi } from "./instances.ts";
import { applyPool, getPool } from "./pool.ts";
import { planRebalance } from "./rebalance.ts";
import { removeHost } from "./removal.ts";
import { admit, isAction, type OperatorMethod } from "./roles.ts";
import { hostCommand, RunsApi, runCommand } from "./runs.ts";
import { createToken } from "./tokens.ts";
import { auditView, optionsText, scopeText } from "./views.ts";
import type { Watchers } from "./watch.ts";

const DEFAULT_AUDIT = 100;
const MAX_AUDIT = 10_000;

type Service = Handlers<typeof operatorWire.OperatorService>;
// biome-ignore lint/suspicious/noExplicitAny: any call will do to tell who made it.
type AnyCall = Pick<ServerWritableStream<any, any>, "getAuthContext" | "getPeer">;

export interface ServicePorts extends ApiPorts {
  readonly auditor: Auditor;
  readonly watchers: Watchers;
  readonly identify: (call: AnyCall) => Identity | undefined;
}

/** The operators' service: each method behind its role, each action in the audit log. */
export function operatorService(ports: ServicePorts): Service {
  const runs = new RunsApi(ports);
  const hosts = new HostsApi(ports);
  const instances = new InstancesApi(ports);
  const { auditor, log } = ports;

  /** Who calls, if the method is theirs to call. */
  function enter(method: OperatorMethod, call: AnyCall): Identity {
    const who = ports.identify(call);
    try {
      return admit(method, who);
    } catch (thrown) {
      const { message } = SlipwayError.from(thrown);
      log.warn({ who: who?.name, role: who?.role, method, peer: call.getPeer() }, `refused: ${message}`);
      const name = who?.name ?? "unknown";
      auditor.intruder({ who: name, role: who?.role ?? "", method, what: "", result: message });
      throw thrown;
    }
  }

  /** Wraps a method: role first, then the work, then the audit log if it was an action. */
  function guard<Request, Response>(
    method: OperatorMethod,
    work: (request: Request, who: string) => Response | Promise<Response>,
    what: (request: Request, response: Response | undefined) => string = () => "",
  ): (request: Request, call: AnyCall) => Promise<Response> {
    return async (request, call) => {
      const who = enter(method, call);
      const audit = (result: string, response?: Response) => {
        if (isAction(method))
          auditor.write({ who: who.name, role: who.role, method, what: what(request, response), result });
      };
      try {
        const response = await work(request, who.name);
        audit("ok", response);
        return response;
      } catch (thrown) {
        const error = SlipwayError.from(thrown);
        if (error.code === "internal") log.error({ method, err: thrown }, error.message);
        audit(error.message);
        throw error;
      }
    };
  }

  return {
    plan: guard("plan", (r) => runs.plan(r)),
    startRun: guard(
      "startRun",
      (r, who) => runs.start(r, who),
      (r, done) => [scopeText(r.scope), optionsText(r.options), done && `run ${done.run}`].filter(Boolean).join("; "),
    ),
    watchRun: (call) => {
      enter("watchRun", call);
      ports.watchers.watch(call);
    },
    listRuns: guard("listRuns", (r) => runs.list(r)),
    getRun: guard("getRun", (r) => runs.get(r)),
    getReport: guard("getReport", (r) => runs.report(r)),
    controlRun: guard(
      "controlRun",
      (r, who) => runs.control(r, who),
      (r) => `${attempt(() => abortText(runCommand(r)))} run ${r.run}${reason(r)}`,
    ),
    controlHost: guard(
      "controlHost",
      (r, who) => runs.controlHost(r, who),
      (r) => `${attempt(() => hostCommand(r).kind)} ${r.host} of run ${r.run}${reason(r)}`,
    ),
    listHosts: guard("listHosts", (r) => hosts.list(r)),
    getHost: guard("getHost", (r) => hosts.get(r)),
    whyHost: guard("whyHost", (r) => hosts.why(r)),
    pingHosts: guard(
      "pingHosts",
      (r) => hosts.ping(r),
      (r) => scopeText(r.scope),
    ),
    setCordon: guard(
      "setCordon",
      (r, who) => hosts.setCordon(r, who),
      (r) => `${r.cordoned ? "cordon" : "uncordon"} ${r.host}${reason(r)}`,
    ),
    listLedger: guard("listLedger", (r) => hosts.ledger(r)),
    listAudit: guard("listAudit", (r) => ({
      entries: ports.store.audit.latest(Math.min(r.limit || DEFAULT_AUDIT, MAX_AUDIT)).map(auditView),
    })),
    createToken: guard(
      "createToken",
      (r, who) => {
        const made = createToken(ports.store.tokens, ports.ca, {
          host: r.host,
          ttlMs: Number(r.ttlMs),
          createdBy: who,
        });
        return { token: made.token, expiresAtMs: BigInt(made.expiresAtMs), enrolPort: ports.enrolPort() };
      },
      (r) => (r.host ? `for ${r.host}` : "for any new host"),
    ),
    pushHooks: guard(
      "pushHooks",
      (r) => pushHooks(ports, r),
      (r, done) =>
        [`hooks ${r.hash} (${r.files.length} files) to ${scopeText(r.scope)}`, pushText(done?.hosts)]
          .filter(Boolean)
          .join("; "),
    ),
    removeHost: guard(
      "removeHost",
      (r, who) => removeHost(ports, r, who),
      (r) => `host ${r.host}${reason(r)}`,
    ),
    listInstances: guard("listInstances", (r) => instances.list(r)),
    getInstance: guard("getInstance", (r) => instances.get(r)),
    planRebalance: guard("planRebalance", (r) => planRebalance(ports, r)),
    applyPool: guard(
      "applyPool",
      (r, who) => applyPool(ports, r, who),
      (r, done) => `${r.file}${done ? `, version ${done.version.number}${done.changed ? "" : " as before"}` : ""}`,
    ),
    getPool: guard("getPool", () => getPool(ports)),
    checkHealth: guard("checkHealth", (r) => checkHealth(ports, r)),
    discoverSystems: guard(
      "discoverSystems",
      (r) => discoverSystems(ports, r),
      (r) => (r.cluster ? `cluster ${r.cluster}` : "all hosts"),
    ),
  };
}

const reason = (r: { reason: string }) => (r.reason ? `: ${r.reason}` : "");

function abortText(command: ReturnType<typeof runCommand>): string {
  return command.kind === "abort" && command.now ? "abort now" : command.kind;
}

/** The audit log takes what can be said even of a request that makes no sense. */
function attempt(text: () => string): string {
  try {
    return text();
  } catch {
    return "unknown action on";
  }
}
