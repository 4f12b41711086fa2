import { SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { hostOf } from "../domain/run.ts";
import type { ApiPorts } from "./deps.ts";

/**
 * Forgets a host. It is durable before the session ends, so that its agent cannot come back in between.
 * Errors: `not-found`, `refused` while a run works on it or left it cordoned, `out-of-space`.
 */
export function removeHost(
  { registry, book, coordinator, store, sessions }: ApiPorts,
  request: operatorWire.RemoveHostRequest,
  who: string,
): { host: string; wasConnected: boolean } {
  const { name, connected } = registry.required(request.host);
  const run = coordinator.active().find((r) => hostOf(r, name) !== undefined);
  if (run)
    throw new SlipwayError("refused", `host ${name}: run ${run.spec.run} has it in its scope`, {
      fix: `wait for the run, or abort it first: slipway run abort ${run.spec.run}`,
    });
  const holder = coordinator.cordonHolders(name).find((h) => h !== "operator");
  if (holder !== undefined)
    throw new SlipwayError("refused", `host ${name}: run ${holder} left it cordoned`, {
      fix: `settle that first: slipway uncordon ${name}`,
    });
  store.membership.remove(name, who, Date.now());
  sessions.remove(name, `${name} was removed by ${who}`);
  registry.forget(name);
  book.forget(name);
  return { host: name, wasConnected: connected };
}
