import { SlipwayError } from "@slipway/shared";
import type { Identity } from "@slipway/shared/tls";
import type { operatorWire } from "@slipway/shared/wire";

export type OperatorMethod = keyof typeof operatorWire.OperatorService.method;

/** The least role that may call each method. An operator may do everything that a viewer may; agents may do none of it. */
export const minimalRole = {
  plan: "viewer",
  startRun: "operator",
  watchRun: "viewer",
  listRuns: "viewer",
  getRun: "viewer",
  getReport: "viewer",
  controlRun: "operator",
  controlHost: "operator",
  listHosts: "viewer",
  getHost: "viewer",
  whyHost: "viewer",
  pingHosts: "operator",
  setCordon: "operator",
  listLedger: "viewer",
  listAudit: "viewer",
  createToken: "operator",
  pushHooks: "operator",
  removeHost: "operator",
  listInstances: "viewer",
  getInstance: "viewer",
  planRebalance: "viewer",
  applyPool: "operator",
  getPool: "viewer",
  checkHealth: "viewer",
  // Has every agent run programs, without anybody having written into the pool file which.
  discoverSystems: "operator",
} as const satisfies Record<OperatorMethod, "viewer" | "operator">;

/** Is this an action, rather than a look? Actions are audited. */
export function isAction(method: OperatorMethod): boolean {
  return minimalRole[method] === "operator";
}

/** Throws `not-allowed` unless the caller may use the method. */
export function admit(method: OperatorMethod, who: Identity | undefined): Identity {
  if (who === undefined)
    throw new SlipwayError("not-allowed", `${method}: the certificate names nobody`, {
      fix: "have one made with slipway-controller operator NAME",
    });
  const least = minimalRole[method];
  const allowed = who.role === "operator" || (who.role === "viewer" && least === "viewer");
  if (!allowed)
    throw new SlipwayError("not-allowed", `${method}: ${who.name} has the role ${who.role}, this needs ${least}`, {
      fix: `use a certificate made with slipway-controller operator NAME --role ${least}`,
    });
  return who;
}
