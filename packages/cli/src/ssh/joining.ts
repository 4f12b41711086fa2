import { SlipwayError } from "@slipway/shared";
import { compareVersions, type Deb } from "./debs.ts";

/** What was found on the machine, and what the controller says. */
export interface JoinFacts {
  /** The name that the host has, or is to have. */
  readonly host: string;
  /** Installed versions; empty when not installed. */
  readonly agentVersion: string;
  readonly runtimeVersion: string;
  readonly isActive: boolean;
  readonly isEnabled: boolean;
  /** Whether agent.properties has all wanted settings. */
  readonly isConfigured: boolean;
  /** The agent's certificate; undefined when there is none. */
  readonly certificate:
    | { readonly host: string; readonly ofThisController: boolean; readonly isExpired: boolean }
    | undefined;
  /** The host as the controller knows it; undefined when it does not. */
  readonly known: { readonly connected: boolean } | undefined;
}

export interface JoinWishes {
  readonly agent: Deb;
  readonly runtime?: Deb;
  /** Take a host over that belongs to another controller, or has another name. */
  readonly rejoin: boolean;
}

/** One thing to be done on the machine. */
export type JoinStep =
  | { readonly do: "install"; readonly debs: readonly Deb[] }
  | { readonly do: "configure" }
  /** `anew`: what is left of an earlier enrolment goes first. */
  | { readonly do: "enrol"; readonly anew: boolean }
  | { readonly do: "start" }
  | { readonly do: "wait" };

/**
 * What has to be done to make the machine a host; nothing when it is one. Pure: what an attempt that was cut off has done shows
 * in the facts, so a second one goes on where it was. Errors: `refused`.
 */
export function planJoin(facts: JoinFacts, wishes: JoinWishes): JoinStep[] {
  const { host, certificate, known } = facts;
  const steps: JoinStep[] = [];
  const debs = debsToInstall(facts, wishes);
  if (debs.length > 0) steps.push({ do: "install", debs });
  // The package brings a configuration file of its own, if there is none yet.
  if (debs.length > 0 || !facts.isConfigured) steps.push({ do: "configure" });

  if (certificate !== undefined && !wishes.rejoin) {
    const fix = "give --rejoin to take it over: its certificate is replaced";
    if (!certificate.ofThisController)
      throw new SlipwayError("refused", `${host}: the machine has a certificate of another controller`, { fix });
    if (certificate.host !== host)
      throw new SlipwayError("refused", `${host}: the machine is host ${certificate.host}`, {
        fix: `leave --name out, or ${fix}`,
      });
  }
  // A host that the controller does not know was removed, or never came: its certificate may not count any more.
  const isGood =
    certificate?.ofThisController === true &&
    certificate.host === host &&
    !certificate.isExpired &&
    known !== undefined;
  if (!isGood) {
    if (known?.connected)
      throw new SlipwayError("refused", `${host}: a host of that name is connected already, from another machine`, {
        fix: "choose another name with --name, or remove that host first: slipway host remove",
      });
    steps.push({ do: "enrol", anew: certificate !== undefined });
  }
  if (steps.length > 0 || !facts.isActive || !facts.isEnabled) steps.push({ do: "start" });
  if (steps.length > 0 || !known?.connected) steps.push({ do: "wait" });
  return steps;
}

/** What is missing or older; what is newer stays. Errors: `not-found` when the runtime is needed and not at hand. */
function debsToInstall({ agentVersion, runtimeVersion }: JoinFacts, { agent, runtime }: JoinWishes): Deb[] {
  const isNeeded = (deb: Deb, installed: string) => installed === "" || compareVersions(deb.version, installed) > 0;
  const agents = isNeeded(agent, agentVersion) ? [agent] : [];
  if (runtimeVersion === "" && agents.length > 0 && runtime === undefined)
    throw new SlipwayError(
      "not-found",
      "the agent's package needs slipway-runtime, which is neither there nor at hand",
      {
        fix: "put its .deb beside the agent's, or name both with --package",
      },
    );
  return runtime !== undefined && isNeeded(runtime, runtimeVersion) ? [runtime, ...agents] : agents;
}
