import { isIPv6 } from "node:net";
import { wrongUse } from "../io.ts";

/** Where to log in. */
export interface SshTarget {
  readonly user: string;
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
const HOST = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$/;
const SSH_PORT = 22;

/** `[user@]host[:port]`, an IPv6 address with a port in brackets. `source` names the option or argument for messages. */
export function parseTarget(text: string, source: string, defaultUser: string, port?: string): SshTarget {
  const fail = (problem: string) =>
    wrongUse(`${source}: "${text}" ${problem}`, "write user@host, or user@host:port, an IPv6 address in brackets");
  const at = text.lastIndexOf("@");
  const user = at < 0 ? defaultUser : text.slice(0, at);
  if (!USER.test(user)) throw fail(`has no user name that can be used ("${user}")`);
  const rest = text.slice(at + 1);
  const match =
    /^\[([^\]]*)\](?::(\d+))?$/.exec(rest) ?? (isIPv6(rest) ? [rest, rest] : /^([^:]*)(?::(\d+))?$/.exec(rest));
  const host = match?.[1] ?? "";
  if (!HOST.test(host) && !isIPv6(host)) throw fail("names no host");
  if (match?.[2] !== undefined && port !== undefined && match[2] !== port) throw fail(`and --port ${port} differ`);
  const chosen = Number(match?.[2] ?? port ?? SSH_PORT);
  if (!Number.isInteger(chosen) || chosen < 1 || chosen > 65_535) throw fail("has no port from 1 to 65535");
  return { user, host, port: chosen };
}

/** As known_hosts writes it: `hv7`, or `[hv7]:2222`. */
export function knownName({ host, port }: Pick<SshTarget, "host" | "port">): string {
  const name = host.toLowerCase();
  return port === SSH_PORT ? name : `[${name}]:${port}`;
}

/** For people: `root@hv7`, `root@[2001:db8::1]:2222`. */
export function targetText({ user, host, port }: SshTarget): string {
  const name = isIPv6(host) ? `[${host}]` : host;
  return `${user}@${name}${port === SSH_PORT ? "" : `:${port}`}`;
}
