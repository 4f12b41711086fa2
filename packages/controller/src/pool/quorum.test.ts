import { describe, expect, test } from "vitest";
import { quorumOf } from "./quorum.ts";
import { Reader } from "./reader.ts";

function read(text: string) {
  const reader = new Reader(text);
  const root = reader.map(reader.root, ["probes", "quorum", "services"], "probes:");
  const config = quorumOf(reader, root);
  return { config, problems: reader.problems.map((p) => `${p.line}: ${p.text}; ${p.fix}`) };
}

test("says everything that it may say", () => {
  const text = `
probes:
  - name: etcd-main
    system: etcd
    from: [top1, top2, top3]
    views: 3
    settings: { endpoint: "https://127.0.0.1:2379", ca: /etc/etcd/ca.pem, insecure: false, port: 2379 }
    aliases: { 10.0.0.3: top3 }
    outside: [arbiter.example]
    timeout: 4s
  - { name: gv0, system: gluster, from: [top1] }
quorum:
  - name: dns
    members:
      - { instance: ns1, check: { system: dns, settings: { server: 10.0.0.53 }, from: top1 } }
      - instance: ns2
      - host: top3
    needed: 2
  - { name: pair, members: [{ host: a }, { host: b }, { host: c }], needed: majority }
services:
  - match: "top*"
    stop: [{ kind: gluster-mounts }, { kind: gluster, timeout: 10m }, { kind: systemd, name: nfs-server.service }]
`;
  const { config, problems } = read(text);
  expect(problems).toEqual([]);
  expect(config.probes[0]).toEqual({
    name: "etcd-main",
    system: "etcd",
    from: ["top1", "top2", "top3"],
    views: 3,
    settings: { endpoint: "https://127.0.0.1:2379", ca: "/etc/etcd/ca.pem", insecure: "false", port: "2379" },
    aliases: { "10.0.0.3": "top3" },
    outside: ["arbiter.example"],
    timeoutMs: 4_000,
  });
  expect(config.probes[1]).toMatchObject({ name: "gv0", views: 1, settings: {}, timeoutMs: 10_000 });
  expect(config.groups[0]?.members[0]).toEqual({
    kind: "instance",
    name: "ns1",
    check: { system: "dns", settings: { server: "10.0.0.53" }, from: "top1" },
  });
  expect(config.groups.map((g) => g.needed)).toEqual([2, 2]);
  expect(config.services[0]?.services.map((s) => [s.kind, s.name, s.timeoutMs])).toEqual([
    ["gluster-mounts", "", 300_000],
    ["gluster", "", 600_000],
    ["systemd", "nfs-server.service", 300_000],
  ]);
});

test("nothing said is nothing to ask", () => {
  expect(read("").config).toEqual({ probes: [], groups: [], services: [] });
  expect(read("probes:\nquorum: []\nservices:").config).toEqual({ probes: [], groups: [], services: [] });
});

describe("what is wrong is told with its line, its value and what would be right", () => {
  test.each([
    ["probes: etcd", /^1: probes: "etcd" is no list; write probes such as/],
    ["probes:\n  - { system: etcd, from: [a] }", /^2: probes\[1\]: there is no name; write name: /],
    [
      "probes: [{ name: a, system: etdc, from: [a] }]",
      /^1: probes\[1\].system: "etdc" is not known; did you mean "etcd"\?$/,
    ],
    ["probes: [{ name: a, system: etcd }]", /^1: probes\[1\]: there is no from; say which hosts can read it/],
    ["probes: [{ name: a, system: etcd, from: [a], views: 2 }]", /^1: probes\[1\].views: 2 of 1 hosts; name as many/],
    ["probes: [{ name: a, system: etcd, from: [a/b] }]", /^1: probes\[1\].from\[1\]: "a\/b"; write letters/],
    [
      "probes: [{ name: a, system: etcd, from: [a], settings: { password: x } }]",
      /settings.password: secrets do not belong/,
    ],
    [
      "probes: [{ name: a, system: etcd, from: [a], settings: { 'a b': x } }]",
      /settings: key "a b"; write a plain name$/,
    ],
    [
      "probes: [{ name: a, system: etcd, from: [a], settings: [x] }]",
      /settings: a list is no map; write keys with values$/,
    ],
    ["probes: [{ name: a, system: etcd, from: [a], timeout: 1h }]", /timeout: "1h"; write a duration from 100ms to 5m/],
    [
      "probes:\n  - { name: a, system: etcd, from: [a] }\n  - { name: a, system: ceph, from: [a] }",
      /^1: probes: a is there twice; give each a name of its own$/,
    ],
    ["quorum: [{ name: a, members: [{ host: a }] }]", /^1: quorum\[1\].members: 1; name at least two$/],
    [
      "quorum: [{ name: a, members: [{ host: a }, { host: b }], needed: 2 }]",
      /^1: quorum\[1\].needed: 2; write a whole number from 1 to 1$/,
    ],
    [
      "quorum: [{ name: a, members: [{ host: a, instance: b }, { host: b }, { host: c }] }]",
      /members\[1\]: names both/,
    ],
    ["quorum: [{ name: a, members: [{}, { host: b }, { host: c }] }]", /members\[1\]: names neither/],
    [
      "quorum: [{ name: a, members: [{ host: b, check: { system: icmp-echo } }, { host: c }, { host: d }] }]",
      /check.system: "icmp-echo" is not known; choose tcp, dns, http, command$/,
    ],
    ["services: [{ stop: [] }]", /^1: services\[1\]: there is no match; write match: /],
    ["services: [{ match: a, stop: [{ kind: glustre }] }]", /kind: "glustre" is not known; did you mean "gluster"\?$/],
    ["services: [{ match: a, stop: [{ kind: systemd }] }]", /a systemd service without a name; name the unit/],
    ["services: [{ match: 'a b', stop: [] }]", /^1: services\[1\].match: "a b"; write a host's name/],
  ])("%j", (text, expected) => {
    expect(read(text).problems).toEqual([expect.stringMatching(expected)]);
  });
});
