import { userInfo } from "node:os";
import { durationText } from "@slipway/shared";
import type { Context, ExitStatus } from "../context.ts";
import { parseLabels } from "../dev/pool.ts";
import { wrongUse } from "../io.ts";
import { parseDuration } from "../options/duration.ts";
import { clean, pad } from "../render/text.ts";
import { defaultKnownHosts, SshConnection } from "./connection.ts";
import { packageDirs } from "./debs.ts";
import { parsePins } from "./hostkey.ts";
import { findIdentities } from "./identity.ts";
import { type Done, type JoinApi, joinHost, unlessUnknown } from "./join.ts";
import { leaveHost } from "./leave.ts";
import { Machine, places } from "./machine.ts";
import { parseTarget, targetText } from "./target.ts";

interface SshFlags {
  identity?: string[];
  port?: string;
  jump?: string;
  hostKey?: string[];
  knownHosts?: string;
}

export interface AddFlags extends SshFlags {
  name?: string;
  labels?: string;
  package?: string[];
  controller?: string[];
  enrol?: string;
  allowHooksPush?: boolean;
  rejoin?: boolean;
  wait: string;
}

export interface RemoveFlags extends SshFlags {
  ssh?: string;
  reason?: string;
}

const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):[1-9]\d{0,4}$/;
const LOCAL = ["localhost", "127.0.0.1", "::1"];

async function connect(context: Context, text: string, source: string, flags: SshFlags): Promise<SshConnection> {
  const { env, ask } = context.io;
  const user = userInfo().username;
  const target = parseTarget(text, source, user, flags.port);
  const jump = flags.jump === undefined ? undefined : parseTarget(flags.jump, "--jump", user);
  const pins = parsePins(flags.hostKey ?? []);
  const identities = await findIdentities(flags.identity ?? [], env, ask);
  const knownHosts = flags.knownHosts === undefined ? defaultKnownHosts(env) : [flags.knownHosts];
  return SshConnection.open({ target, jump, identities, pins, knownHosts, ask });
}

/** `slipway host add`. */
export async function addHost(context: Context, text: string, flags: AddFlags): Promise<ExitStatus> {
  const waitMs = parseDuration("--wait", flags.wait);
  const labels = flags.labels === undefined ? undefined : labelsText(flags.labels);
  for (const address of [...(flags.controller ?? []), ...(flags.enrol === undefined ? [] : [flags.enrol])])
    if (!ADDRESS.test(address)) throw wrongUse(`"${address}" is no host:port`, "write for example 10.0.0.5:7443");
  const { client } = context;
  const api = joinApi(context);
  const progress = progressOf(context);
  const since = performance.now();
  const ssh = await connect(context, text, "TARGET", flags);
  const shown = targetText(ssh.target);
  try {
    progress({
      step: "log in",
      milliseconds: Math.round(performance.now() - since),
      text: `${shown}, ${ssh.fingerprint}`,
    });
    const { host, done } = await joinHost(
      new Machine(ssh, places),
      api,
      {
        ...{ name: flags.name, labels, waitMs },
        ...{ controllers: flags.controller, enrol: flags.enrol, ownControllers: client.config.controllers },
        ca: client.config.tls.ca,
        allowPush: flags.allowHooksPush === true,
        rejoin: flags.rejoin === true,
        packages: flags.package ?? [],
        packageDirs: packageDirs(),
        isLocal: flags.jump === undefined && LOCAL.includes(ssh.target.host),
      },
      progress,
    );
    context.answer(
      () => ({ host, target: shown, hostKey: ssh.fingerprint, changed: done.length > 0, steps: done }),
      () => [done.length === 0 ? `host ${host}: joined already, nothing was changed` : `host ${host}: joined`],
    );
    return 0;
  } finally {
    ssh.close();
  }
}

/** `slipway host remove`. */
export async function removeHost(context: Context, name: string, flags: RemoveFlags): Promise<ExitStatus> {
  const forget = () => context.client.call("removeHost", { host: name, reason: flags.reason ?? "" });
  if (flags.ssh === undefined) {
    const { wasConnected } = await forget();
    context.answer(
      () => ({ host: name, wasConnected }),
      () => [`host ${name}: removed${wasConnected ? "; its agent was cut off and keeps trying: stop it there" : ""}`],
    );
    return 0;
  }
  const ssh = await connect(context, flags.ssh, "--ssh", flags);
  try {
    const done = await leaveHost(new Machine(ssh, places), name, () => unlessUnknown(forget), progressOf(context));
    context.answer(
      () => ({ host: name, target: targetText(ssh.target), changed: done.length > 0, steps: done }),
      () => [done.length === 0 ? `host ${name}: removed already, nothing was changed` : `host ${name}: removed`],
    );
    return 0;
  } finally {
    ssh.close();
  }
}

function joinApi({ client }: Context): JoinApi {
  return {
    host: (name) => unlessUnknown(async () => (await client.call("getHost", { host: name })).host),
    createToken: (host) => client.call("createToken", { host }),
  };
}

/** A line per step as it ends; with --json they are in the one object. */
function progressOf(context: Context): (done: Done) => void {
  return ({ step, milliseconds, text }) => {
    if (!context.json) context.lines([`${pad(step, 10)} ${pad(durationText(milliseconds), 8)} ${clean(text)}`]);
  };
}

function labelsText(text: string): string {
  return Object.entries(parseLabels(text, {}))
    .map((pair) => pair.join("="))
    .join(",");
}
