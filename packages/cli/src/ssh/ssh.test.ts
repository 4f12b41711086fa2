import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { decideHostKey, type HostKeyFacts, parsePins } from "./hostkey.ts";
import { fingerprintOf, knownHostLine, knownTypes, lookup, matches, parseKnownHosts, typeOf } from "./knownhosts.ts";
import { knownName, parseTarget, targetText } from "./target.ts";

/** A key in SSH's form; what is inside does not matter here. */
function key(type: string, seed: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(type.length);
  return Buffer.concat([head, Buffer.from(type), Buffer.alloc(32, seed)]);
}
const ED = key("ssh-ed25519", 1);
const ED2 = key("ssh-ed25519", 2);
const RSA = key("ssh-rsa", 3);
const line = (names: string, k: Buffer) => `${names} ${typeOf(k)} ${k.toString("base64")}`;
const hashed = (name: string) => {
  const salt = Buffer.alloc(20, 7);
  return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
};
const known = (...lines: string[]) => parseKnownHosts(lines.join("\n"), "kh");

describe("where to log in", () => {
  test.each([
    ["root@hv7", { user: "root", host: "hv7", port: 22 }, "hv7"],
    ["hv7", { user: "me", host: "hv7", port: 22 }, "hv7"],
    ["root@HV7.example:2222", { user: "root", host: "HV7.example", port: 2222 }, "[hv7.example]:2222"],
    ["root@2001:db8::1", { user: "root", host: "2001:db8::1", port: 22 }, "2001:db8::1"],
    ["root@[2001:db8::1]:2222", { user: "root", host: "2001:db8::1", port: 2222 }, "[2001:db8::1]:2222"],
  ])("%s", (text, expected, name) => {
    const target = parseTarget(text, "TARGET", "me");
    expect(target).toEqual(expected);
    expect(knownName(target)).toBe(name);
  });

  test("a port of its own, and one that contradicts", () => {
    expect(parseTarget("root@hv7", "TARGET", "me", "2222").port).toBe(2222);
    expect(() => parseTarget("root@hv7:22", "TARGET", "me", "2222")).toThrow(/--port 2222 differ/);
    expect(targetText(parseTarget("root@[::1]:2222", "TARGET", "me"))).toBe("root@[::1]:2222");
  });

  test.each([
    "",
    "root@",
    "@hv7",
    "-oProxyCommand=x@hv7",
    "root@-oProxyCommand=x",
    "root@hv7:0",
    "root@hv7:99999",
    "a b@hv7",
    "root@h v7",
    "root@hv7;reboot",
  ])("%j is refused", (text) => {
    expect(() => parseTarget(text, "TARGET", "me")).toThrow(/^TARGET: /);
  });
});

describe("known_hosts", () => {
  test("passes over comments, blank lines and lines that make no sense", () => {
    const hosts = known(
      "# a comment",
      "",
      "hv7",
      "hv7 ssh-ed25519",
      "hv7 ssh-ed25519 !!!",
      line("hv7", ED),
      "@odd hv7 x y",
      `hv7 ssh-rsa ${ED.toString("base64")}`,
    );
    expect(hosts.map((host) => host.line)).toEqual([6]);
  });

  test("plain, hashed and bracketed names, with a comment behind the key", () => {
    for (const names of ["hv7", "other,hv7", hashed("hv7"), "HV7"])
      expect(lookup(known(`${line(names, ED)} root@hv7`), "hv7", ED), names).toEqual({ is: "known" });
    for (const names of ["[hv7]:2222", hashed("[hv7]:2222")]) {
      expect(lookup(known(line(names, ED)), "[hv7]:2222", ED)).toEqual({ is: "known" });
      expect(lookup(known(line(names, ED)), "hv7", ED)).toEqual({ is: "new" });
    }
    expect(lookup(known(line("hv7", ED)), "[hv7]:2222", ED)).toEqual({ is: "new" });
  });

  test("wildcards and negation", () => {
    expect(matches("*.example,!bad.example", "hv7.example")).toBe(true);
    expect(matches("*.example,!bad.example", "bad.example")).toBe(false);
    expect(matches("hv?", "hv7")).toBe(true);
    expect(matches("hv?", "hv17")).toBe(false);
    expect(matches("!hv7", "hv8")).toBe(false);
    expect(matches("h.7", "hv7")).toBe(false);
    expect(matches(`${"*a".repeat(50)}b`, "a".repeat(5_000))).toBe(false);
  });

  test("another key is a changed one, whatever its type", () => {
    expect(lookup(known(line("hv7", ED)), "hv7", ED2)).toEqual({ is: "changed", at: "kh:1" });
    expect(lookup(known("", line("hv7", RSA)), "hv7", ED)).toEqual({ is: "changed", at: "kh:2" });
    expect(lookup(known(line("hv7", RSA), line("hv7", ED)), "hv7", ED)).toEqual({ is: "known" });
  });

  test("a revoked key stays revoked wherever else it stands", () => {
    const hosts = known(line("hv7", ED), `@revoked ${line("*", ED)}`);
    expect(lookup(hosts, "hv7", ED)).toEqual({ is: "revoked", at: "kh:2" });
    expect(lookup(hosts, "hv8", ED2)).toEqual({ is: "new" });
  });

  test("an authority's key is no host's key", () => {
    expect(lookup(known(`@cert-authority ${line("hv7", ED)}`), "hv7", ED)).toEqual({ is: "new" });
  });

  test("types to ask for, and what is written is read again", () => {
    expect(knownTypes(known(line("hv7", RSA), line("hv8", ED)), "hv7")).toEqual(["ssh-rsa"]);
    expect(lookup(known(knownHostLine("[hv7]:2222", ED)), "[hv7]:2222", ED)).toEqual({ is: "known" });
    expect(fingerprintOf(ED)).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });
});

describe("trusting a host key", () => {
  const fingerprint = fingerprintOf(ED);
  const facts = (change: Partial<HostKeyFacts>): HostKeyFacts => ({
    target: "root@hv7",
    fingerprint,
    type: "ssh-ed25519",
    lookup: { is: "new" },
    pins: [],
    isJump: false,
    canAsk: false,
    ...change,
  });
  const outcome = (change: Partial<HostKeyFacts>) => {
    const decision = decideHostKey(facts(change));
    return decision.do === "refuse" ? decision.error.message : decision.do;
  };

  test("a known key is accepted, a new one asked for at a terminal and refused in a script with the way out", () => {
    expect(outcome({ lookup: { is: "known" } })).toBe("accept");
    expect(outcome({ canAsk: true })).toBe("ask");
    expect(outcome({})).toMatch(
      `is not known here; compare it with ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub on its console, then give --host-key ${fingerprint}`,
    );
    const asked = decideHostKey(facts({ canAsk: true }));
    expect(asked).toMatchObject({ question: expect.stringContaining(fingerprint) });
  });

  test("a changed key is never asked for, a revoked one not even accepted by its fingerprint", () => {
    expect(outcome({ lookup: { is: "changed", at: "kh:1" }, canAsk: true })).toMatch(/is not the one in kh:1/);
    expect(outcome({ lookup: { is: "changed", at: "kh:1" }, pins: [fingerprint] })).toBe("accept");
    expect(outcome({ lookup: { is: "revoked", at: "kh:1" }, pins: [fingerprint], canAsk: true })).toMatch(
      /revoked in kh:1/,
    );
  });

  test("a fingerprint that was given is the only one that counts, but not for the jump host", () => {
    const pins = [fingerprintOf(ED2)];
    expect(outcome({ lookup: { is: "known" }, pins })).toMatch(/is not the one given with --host-key/);
    expect(outcome({ lookup: { is: "known" }, pins, isJump: true })).toBe("accept");
    expect(outcome({ pins, isJump: true })).toMatch(/is not known here/);
    expect(outcome({ pins: [...pins, fingerprint], isJump: true })).toBe("accept");
  });

  test("fingerprints are checked", () => {
    expect(parsePins([`${fingerprint}=`])).toEqual([fingerprint]);
    for (const bad of ["SHA256:x", fingerprint.slice(7), "MD5:aa:bb"])
      expect(() => parsePins([bad])).toThrow(/is no fingerprint/);
  });
});
