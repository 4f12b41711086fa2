import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** One usable line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  readonly file: string;
  readonly line: number;
  readonly marker: "" | "@revoked" | "@cert-authority";
  /** Names with wildcards and commas, or one hashed name. */
  readonly names: string;
  readonly type: string;
  readonly key: Buffer;
}

/** What the files say of a key that a host has shown. */
export type Lookup =
  | { readonly is: "known" }
  /** The key was given up by its owner. */
  | { readonly is: "revoked"; readonly at: string }
  /** The host is known by other keys. */
  | { readonly is: "changed"; readonly at: string }
  | { readonly is: "new" };

/** Reads a known_hosts file; lines that nobody could use are passed over, as OpenSSH does. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  const out: KnownHost[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const words = raw.trim().split(/[ \t]+/);
    const first = words[0] ?? "";
    if (first === "" || first.startsWith("#")) continue;
    const marker = first === "@revoked" || first === "@cert-authority" ? first : "";
    if (first.startsWith("@") && marker === "") continue;
    const [names, type, base64] = marker === "" ? words : words.slice(1);
    if (!names || !type || !base64) continue;
    const key = Buffer.from(base64, "base64");
    if (typeOf(key) !== type) continue;
    out.push({ file, line: i + 1, marker, names, type, key });
  }
  return out;
}

/** `name` as `knownName` makes it. A revoked key wins over everything, wherever it stands. */
export function lookup(hosts: readonly KnownHost[], name: string, key: Buffer): Lookup {
  const mine = hosts.filter((host) => host.marker !== "@cert-authority" && matches(host.names, name));
  const at = ({ file, line }: KnownHost) => `${file}:${line}`;
  const same = mine.filter((host) => host.key.equals(key));
  const revoked = same.find((host) => host.marker === "@revoked");
  if (revoked) return { is: "revoked", at: at(revoked) };
  if (same.length > 0) return { is: "known" };
  const other = mine.find((host) => host.marker === "");
  return other ? { is: "changed", at: at(other) } : { is: "new" };
}

/** Types of key that the host is known by: they are asked for first, so that it shows one that can be compared. */
export function knownTypes(hosts: readonly KnownHost[], name: string): string[] {
  const types = hosts.filter((host) => host.marker === "" && matches(host.names, name)).map((host) => host.type);
  return [...new Set(types)];
}

/** OpenSSH's rule: one of the patterns fits, and none that is negated. */
export function matches(names: string, name: string): boolean {
  const hashed = /^\|1\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)$/.exec(names);
  if (hashed) {
    const wanted = Buffer.from(hashed[2] ?? "", "base64");
    const actual = createHmac("sha1", Buffer.from(hashed[1] ?? "", "base64"))
      .update(name)
      .digest();
    return wanted.length === actual.length && timingSafeEqual(wanted, actual);
  }
  let found = false;
  for (const pattern of names.toLowerCase().split(",")) {
    const isNegated = pattern.startsWith("!");
    if (!wildcard(isNegated ? pattern.slice(1) : pattern, name)) continue;
    if (isNegated) return false;
    found = true;
  }
  return found;
}

/** `*` and `?`, nothing else; linear in both, since the pattern may be anybody's. */
function wildcard(pattern: string, text: string): boolean {
  let [p, t, star, retry] = [0, 0, -1, 0];
  while (t < text.length) {
    if (p < pattern.length && pattern[p] !== "*" && (pattern[p] === "?" || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (pattern[p] === "*") {
      star = p++;
      retry = t;
    } else if (star >= 0) {
      p = star + 1;
      t = ++retry;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** Type of a key in SSH's binary form, such as ssh-ed25519; empty when it is none. */
export function typeOf(key: Buffer): string {
  if (key.length < 4) return "";
  const length = key.readUInt32BE(0);
  return length > 64 || key.length < 4 + length ? "" : key.toString("latin1", 4, 4 + length);
}

/** As ssh-keygen -l shows it: `SHA256:` and base64 without padding. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The line that makes a key known. */
export function knownHostLine(name: string, key: Buffer): string {
  return `${name} ${typeOf(key)} ${key.toString("base64")}\n`;
}
