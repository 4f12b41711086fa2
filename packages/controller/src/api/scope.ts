import type { operatorWire } from "@slipway/shared/wire";
import { hostsOf, scopeOf } from "../planner/plan.ts";
import type { ApiPorts } from "./deps.ts";

/** Names of the hosts of a scope, in the order of a run. Errors: `bad-input`, `not-found`. */
export function hostsOfScope(
  { registry, coordinator }: Pick<ApiPorts, "registry" | "coordinator">,
  scope: operatorWire.Scope | undefined,
): string[] {
  const chosen = scopeOf(scope ?? { hosts: [], clusters: [], pods: [], zones: [] });
  const fleet = registry.known((h) => coordinator.cordonHolders(h));
  return hostsOf(fleet, chosen);
}

/** The hosts of a scope, or of the whole fleet when none is given. */
export function hostsOfScopeOrAll(
  ports: Pick<ApiPorts, "registry" | "coordinator">,
  scope: operatorWire.Scope | undefined,
): readonly string[] {
  const isGiven = scope && scope.hosts.length + scope.clusters.length + scope.pods.length + scope.zones.length > 0;
  return isGiven ? hostsOfScope(ports, scope) : ports.registry.names();
}
