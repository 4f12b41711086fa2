import { X509Certificate } from "node:crypto";
import { isIPv4 } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { durationText, NAME_PATTERN, SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { wrongUse } from "../io.ts";
import { clean } from "../render/text.ts";
import { chooseDebs } from "./debs.ts";
import { type JoinStep, planJoin } from "./joining.ts";
import type { Machine, MachineFacts } from "./machine.ts";
import { mergeProperties, readProperties } from "./properties.ts";

/** What joining needs of the controller. */
export interface JoinApi {
  /** Undefined when the controller does not know the host. */
  host(name: string): Promise<operatorWire.FleetHost | undefined>;
  createToken(host: string): Promise<{ readonly token: string; readonly enrolPort: number }>;
}

export interface JoinOptions {
  /** Name of the host; undefined: what it is called there. */
  readonly name: string | undefined;
  /** Value of slipway.labels; undefined: as it is. */
  readonly labels: string | undefined;
  /** Addresses of the controller as the host sees them; undefined: as they are there, else `ownControllers`. */
  readonly controllers: readonly string[] | undefined;
  readonly enrol: string | undefined;
  readonly ownControllers: readonly string[];
  /** Certificate of the controller's authority, PEM. */
  readonly ca: string;
  readonly allowPush: boolean;
  readonly rejoin: boolean;
  readonly packages: readonly string[];
  readonly packageDirs: readonly string[];
  /** Whether the machine is this one, so that loopback addresses are right. */
  readonly isLocal: boolean;
  /** How long the agent may take to connect, in milliseconds. */
  readonly waitMs: number;
}

export interface Done {
  readonly step: string;
  readonly milliseconds: number;
  readonly text: string;
}

const HOOKS_KEY = "rolling.maintenance.hooks.dir";
const HOOKS_DIR = "/etc/slipway/hooks.d";
const POLL_MS = 300;
/** How often the service is looked at while its agent is waited for. */
const LOOK_MS = 3_000;

/** Makes the machine a host. Returns its name, and what was done; nothing when it was one. */
export async function joinHost(
  machine: Machine,
  api: JoinApi,
  options: JoinOptions,
  progress: (done: Done) => void,
): Promise<{ readonly host: string; readonly done: readonly Done[] }> {
  const done: Done[] = [];
  async function timed<T>(step: string, work: () => Promise<readonly [string, T]>): Promise<T> {
    const since = performance.now();
    const [text, value] = await work();
    const entry = { step, milliseconds: Math.round(performance.now() - since), text };
    done.push(entry);
    progress(entry);
    return value;
  }

  const facts = await machine.inspect();
  const host = hostNameOf(facts, options.name);
  const debs = chooseDebs(facts.arch, options.packages, options.packageDirs);
  const settings = settingsOf(facts, host, options);
  const known = await api.host(host);
  const steps = planJoin(
    {
      ...{ host, agentVersion: facts.agentVersion, runtimeVersion: facts.runtimeVersion },
      ...{ isActive: facts.isActive, isEnabled: facts.isEnabled },
      isConfigured: facts.properties !== "" && configured(facts.properties, settings) === facts.properties,
      certificate: facts.certificate && {
        ...facts.certificate,
        ofThisController: isSameCertificate(facts.certificate.authority, options.ca),
      },
      known,
    },
    { ...debs, rejoin: options.rejoin },
  );
  const isStarted = steps.some((step) => step.do === "start");
  let heartbeatBefore: bigint | undefined;
  for (const step of steps) await timed(step.do, () => perform(step));
  return { host, done };

  async function perform(step: JoinStep): Promise<readonly [string, undefined]> {
    switch (step.do) {
      case "install":
        await machine.install(step.debs);
        return [step.debs.map((deb) => `${deb.name} ${deb.version}`).join(", "), undefined];
      case "configure": {
        const before = await machine.readProperties();
        const text = configured(before, settings);
        if (text !== before) await machine.writeProperties(text);
        return [
          Object.entries(settings)
            .map((pair) => pair.join("="))
            .join(" "),
          undefined,
        ];
      }
      case "enrol": {
        const before = await machine.readProperties();
        if (step.anew) await machine.dropCertificate(before);
        const { token, enrolPort } = await api.createToken(host);
        const enrol = enrolAddress(readProperties(before).get("slipway.enrol") ?? "", settings, enrolPort, options);
        await machine.writeToken(token);
        const keys = { "slipway.enrol": enrol, "slipway.token.file": machine.tokenFile };
        await machine.writeProperties(mergeProperties(before, keys));
        return [`a one-time token, to be used at ${enrol}`, undefined];
      }
      case "start":
        await machine.start();
        return ["slipway-agent.service, also at boot", undefined];
      case "wait":
        return [await waitForAgent(), undefined];
    }
  }

  /** The first heartbeat after the start proves that it is this agent that is connected, and not what is left of an earlier one. */
  async function waitForAgent(): Promise<string> {
    const deadline = performance.now() + options.waitMs;
    let lookAt = performance.now() + Math.min(LOOK_MS, options.waitMs / 4);
    for (;;) {
      const now = await api.host(host);
      if (now?.connected) {
        if (!isStarted || (heartbeatBefore !== undefined && now.lastHeartbeatMs > heartbeatBefore))
          return `connected, agent ${clean(now.agentVersion)}`;
        heartbeatBefore ??= now.lastHeartbeatMs;
      }
      if (performance.now() >= lookAt) {
        if (!(await machine.isRunning())) throw await machine.notRunning("does not run");
        lookAt = performance.now() + LOOK_MS;
      }
      if (performance.now() >= deadline)
        throw await machine.notRunning(`did not connect within ${durationText(options.waitMs)}`);
      await sleep(POLL_MS);
    }
  }
}

/** `--name`, else what the host has been called, else the machine's own name. */
function hostNameOf(facts: MachineFacts, wanted: string | undefined): string {
  const set = readProperties(facts.properties).get("slipway.host") ?? "";
  const name = wanted ?? (set || facts.certificate?.host || facts.name);
  if (!NAME_PATTERN.test(name))
    throw wrongUse(
      `host ${JSON.stringify(clean(name).slice(0, 80))}: not a host name`,
      "give one with --name: letters, digits, dots and hyphens, at most 64",
    );
  return name;
}

/** What agent.properties must say; what it says of other things stays. */
function settingsOf(facts: MachineFacts, host: string, options: JoinOptions): Record<string, string> {
  const present = readProperties(facts.properties);
  const kept = options.rejoin ? "" : (present.get("slipway.controllers") ?? "");
  const controllers = options.controllers?.join(",") ?? (kept || options.ownControllers.join(","));
  if (controllers !== kept && !options.isLocal)
    for (const address of controllers.split(","))
      if (isLoopback(address))
        throw wrongUse(
          `controller ${address}: ${host} cannot reach that address of this machine`,
          "give the controller's address as the host sees it with --controller HOST:PORT",
        );
  return {
    "slipway.controllers": controllers,
    "slipway.host": host,
    ...(options.labels === undefined ? {} : { "slipway.labels": options.labels }),
    ...(options.allowPush ? { "slipway.hooks.push": "true" } : {}),
  };
}

/** The text with all settings; a host without a hooks directory gets the one that the package makes. */
function configured(text: string, settings: Record<string, string>): string {
  const isSet = (readProperties(text).get(HOOKS_KEY) ?? "") !== "";
  return mergeProperties(text, isSet ? settings : { [HOOKS_KEY]: HOOKS_DIR, ...settings });
}

/** `--enrol`, else what is set there, else the enrolment port of the first controller. */
function enrolAddress(
  kept: string,
  settings: Record<string, string>,
  port: number,
  { enrol, rejoin, controllers }: JoinOptions,
): string {
  if (enrol !== undefined) return enrol;
  if (kept !== "" && !rejoin && controllers === undefined) return kept;
  const first = settings["slipway.controllers"]?.split(",")[0] ?? "";
  return `${first.slice(0, first.lastIndexOf(":"))}:${port}`;
}

function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(":")).toLowerCase();
  return host === "localhost" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."));
}

/** Two PEM texts of one certificate. */
function isSameCertificate(a: string, b: string): boolean {
  try {
    return new X509Certificate(a).fingerprint256 === new X509Certificate(b).fingerprint256;
  } catch {
    return false;
  }
}

/** For errors of the controller that mean that there is no such host. */
export async function unlessUnknown<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof SlipwayError && thrown.code === "not-found") return undefined;
    throw thrown;
  }
}
