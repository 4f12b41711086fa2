import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { host, instance, localDisk, poolOf, uuidOf } from "../testing/instances.ts";
import { pictureProblem, place, type Question, type Role } from "./index.ts";

const GIB = 1024;
const vm = (name: string, gib: number, over: Partial<Instance> = {}) =>
  instance(name, { memoryMib: gib * GIB, ...over });
const closed = (name: string, text = `${name} is cordoned by an operator`): Role => ({
  is: "closed",
  because: { rule: "cordoned", subject: name, text, fix: `slipway uncordon ${name}` },
});

/** hv1 is to be emptied, with all that runs there. */
function ask(
  hosts: Question["hosts"],
  over: Partial<Omit<Question, "roles">> & { readonly roles?: Record<string, Role> } = {},
) {
  const { roles = {}, ...rest } = over;
  const all = new Map<string, Role>([["hv1", { is: "source" }], ...Object.entries(roles)]);
  const movers = hosts
    .filter((h) => all.get(h.host)?.is === "source")
    .flatMap((h) => h.inventory.instances.map((i) => ({ uuid: i.uuid, from: h.host })));
  return place({ hosts, movers, pool: poolOf(), ...rest, roles: all });
}
const went = (p: ReturnType<typeof ask>) => Object.fromEntries(p.moves.map((m) => [m.name, m.to]));
const why = (p: ReturnType<typeof ask>) => p.blockers.map((b) => b.reason.text);

const tried = (host: string) => ({ host, why: "it was refused" });

describe("room", () => {
  test("is taken by all of them together, not by one after another", () => {
    const p = ask([host("hv1", [vm("a", 10), vm("b", 10)]), host("hv2"), host("hv3")]);
    expect(p.feasible).toBe(true);
    expect(new Set(Object.values(went(p)))).toEqual(new Set(["hv2", "hv3"]));
  });

  test("is found where best fit alone does not find it", () => {
    const filled = (name: string, gib: number) => host(name, [], { memoryMib: gib * GIB });
    const sizes = [6, 5, 5, 4, 4, 4, 4];
    const p = ask([
      host(
        "hv1",
        sizes.map((s, i) => vm(`v${i}`, s)),
      ),
      filled("hv2", 16),
      filled("hv3", 16),
    ]);
    expect(p.feasible).toBe(true);
    expect(p.moves).toHaveLength(sizes.length);
  });

  test("is counted by what an instance may grow to", () => {
    const grows = instance("a", { memoryMib: GIB, memoryMaxMib: 20 * GIB });
    expect(why(ask([host("hv1", [grows]), host("hv2")]))).toEqual([
      "a (20 GiB) fits on none of hv2: hv2 has 16 GiB left",
    ]);
  });

  test("may be promised more than once, when the pool file says so", () => {
    const hosts = [host("hv1", [vm("a", 20)]), host("hv2")];
    expect(ask(hosts, { pool: poolOf({ memoryOvercommit: 1.25 }) }).feasible).toBe(true);
  });

  test("is virtual processors as well", () => {
    const hosts = [host("hv1", [vm("a", 1, { vcpus: 9 })]), host("hv2")];
    expect(ask(hosts).feasible).toBe(true);
    expect(why(ask(hosts, { pool: poolOf({ cpuOvercommit: 1 }) }))).toEqual([
      "a (1 GiB) fits on none of hv2: hv2 has 8 vCPUs left of 9 needed",
    ]);
  });

  test("is huge pages for those that use them, and they are nobody else's", () => {
    const pages = { hugepages: [{ sizeKib: 2048, total: 4096, free: 4096 }] };
    const paged = vm("a", 6, { hugepageKib: 2048 });
    expect(ask([host("hv1", [paged]), host("hv2", [], pages)]).feasible).toBe(true);
    expect(why(ask([host("hv1", [paged, vm("b", 9)]), host("hv2", [], pages)]))).toEqual([
      "b (9 GiB) fits on none of hv2: hv2 has 8 GiB left",
    ]);
  });

  test("is not huge pages that something else on the host uses", () => {
    const pages = { hugepages: [{ sizeKib: 2048, total: 4096, free: 2000 }] };
    const hosts = [
      host("hv1", [vm("a", 4, { hugepageKib: 2048 })]),
      host("hv2", [vm("b", 1, { hugepageKib: 2048 })], pages),
    ];
    expect(why(ask(hosts))).toEqual([
      "a (4 GiB) fits on none of hv2: hv2 has 2000 huge pages of 2048 KiB left of 2048 needed",
    ]);
  });

  test("is that of the NUMA nodes that an instance is bound to", () => {
    const numa = [0, 1].map((id) => ({ id, memoryMib: 8 * GIB, cpus: 4 }));
    const bound = (name: string) => vm(name, 5, { numaNodes: [0] });
    expect(why(ask([host("hv1", [bound("a"), bound("b")]), host("hv2", [], { numa })]))).toEqual([
      "a (5 GiB) fits on none of hv2: hv2 has 3 GiB left on NUMA node 0 of 5 GiB needed",
    ]);
  });

  test("is space for disks that are copied along", () => {
    const copied = (name: string) =>
      vm(name, 1, { disks: [localDisk("vda", { sizeMib: 60_000 })], metadata: { policy: "migrate-with-storage" } });
    const p = ask([host("hv1", [copied("a"), copied("b")]), host("hv2")]);
    expect(why(p)).toEqual([
      "a (1 GiB) fits on none of hv2: hv2 has 39.1 GiB left in storage pool local of 58.6 GiB to be copied",
    ]);
  });

  test("is not taken by what is off, unless the run that stopped it brings it back", () => {
    const off = vm("off", 10, { state: "shutoff" });
    const hosts = [host("hv1", [vm("a", 10)]), host("hv2", [off])];
    expect(ask(hosts).feasible).toBe(true);
    expect(ask(hosts, { comingBack: new Set([off.uuid]) }).feasible).toBe(false);
  });

  test("is taken at once by what is on its way", () => {
    const hosts = [host("hv1", [vm("a", 10)]), host("hv2"), host("hv3", [vm("x", 8)])];
    const inFlight = [{ instance: vm("b", 10), from: "hv3", to: "hv2" }];
    expect(ask(hosts).feasible).toBe(true);
    expect(ask(hosts, { inFlight }).feasible).toBe(false);
  });

  test("is not taken twice by what both ends tell of", () => {
    const flying = vm("b", 6);
    const inFlight = [{ instance: flying, from: "hv1", to: "hv2" }];
    const hosts = [host("hv1", [vm("a", 10), flying]), host("hv2", [{ ...flying, state: "incoming" }])];
    expect(went(ask(hosts, { inFlight }))).toEqual({ a: "hv2" });
  });
});

describe("an instance that is off", () => {
  test("stays where it is", () => {
    const p = ask([host("hv1", [vm("off", 10, { state: "shutoff" }), vm("a", 1)]), host("hv2")]);
    expect(p).toMatchObject({ feasible: true, stays: [uuidOf("off")] });
    expect(went(p)).toEqual({ a: "hv2" });
  });
});

describe("groups", () => {
  const web = { metadata: { group: "web" } };
  const dns = { metadata: { apart: "dns" } };

  test("stay together", () => {
    const p = ask([
      host("hv1", [vm("a", 5, web), vm("b", 5, web)]),
      host("hv2", [vm("x", 8)]),
      host("hv3", [vm("y", 1)]),
    ]);
    expect(went(p)).toEqual({ a: "hv3", b: "hv3" });
  });

  test("go where the others of them are", () => {
    const p = ask([host("hv1", [vm("a", 5, web)]), host("hv2"), host("hv3", [vm("b", 1, web)])]);
    expect(went(p)).toEqual({ a: "hv3" });
    const full = ask([host("hv1", [vm("a", 5, web)]), host("hv2"), host("hv3", [vm("b", 12, web)])]);
    expect(why(full)).toEqual([
      "a (5 GiB) fits on none of hv2 and hv3: hv2 is not hv3, where the others of group web are; hv3 has 4 GiB left",
    ]);
  });

  test("keep apart, from what is on the candidate and from each other", () => {
    const p = ask([
      host("hv1", [vm("a", 1, dns), vm("b", 1, dns)]),
      host("hv2"),
      host("hv3"),
      host("hv4", [vm("c", 1, dns)]),
    ]);
    expect(new Set(Object.values(went(p)))).toEqual(new Set(["hv2", "hv3"]));
    expect(why(ask([host("hv1", [vm("a", 1, dns)]), host("hv2", [vm("b", 1, dns)])]))).toEqual([
      "a (1 GiB) fits on none of hv2: hv2 runs b, which is kept apart from it (dns)",
    ]);
  });

  test("keep apart from what is on its way, and not from what is off", () => {
    const hosts = [host("hv1", [vm("a", 1, dns)]), host("hv2", [vm("b", 1, { ...dns, state: "shutoff" })])];
    expect(ask(hosts).feasible).toBe(true);
    expect(ask(hosts, { inFlight: [{ instance: vm("c", 1, dns), from: "hv9", to: "hv2" }] }).feasible).toBe(false);
  });

  test("do not count on the host that is left", () => {
    expect(ask([host("hv1", [vm("a", 1, dns), vm("b", 1, dns)]), host("hv2"), host("hv3")]).feasible).toBe(true);
  });
});

describe("hosts", () => {
  const three = [host("hv1", [vm("a", 1)]), host("hv2"), host("hv3"), host("hv4")];

  test("whose turn is over come first, those whose turn comes last", () => {
    expect(went(ask(three, { roles: { hv3: { is: "done" } } }))).toEqual({ a: "hv3" });
    expect(went(ask(three, { roles: { hv2: { is: "later", turn: 1 } } }))).toEqual({ a: "hv3" });
    const later = (turn: number): Role => ({ is: "later", turn });
    expect(went(ask(three, { roles: { hv2: later(1), hv3: later(3), hv4: later(2) } }))).toEqual({ a: "hv3" });
  });

  test("whose turn comes are taken when nothing else is left", () => {
    const hosts = [host("hv1", [vm("a", 10), vm("b", 10)]), host("hv2"), host("hv3")];
    const p = ask(hosts, { roles: { hv2: { is: "later", turn: 1 }, hv3: { is: "done" } } });
    expect(new Set(Object.values(went(p)))).toEqual(new Set(["hv2", "hv3"]));
  });

  test("that a schedule has chosen come before all others, as long as everybody finds a place", () => {
    const hosts = [host("hv1", [vm("a", 10), vm("b", 4)]), host("hv2"), host("hv3", [vm("c", 4)])];
    const movers = (a: string, b: string) => [
      { uuid: uuidOf("a"), from: "hv1", wanted: a },
      { uuid: uuidOf("b"), from: "hv1", wanted: b },
    ];
    const roles = { hv2: { is: "done" }, hv3: { is: "later", turn: 1 } } as const;
    expect(went(ask(hosts, { roles, movers: movers("hv3", "hv2") }))).toEqual({ a: "hv3", b: "hv2" });
    expect(went(ask(hosts, { roles, movers: movers("hv3", "hv3") }))).toEqual({ a: "hv3", b: "hv2" });
    expect(went(ask(hosts, { roles, movers: movers("hv9", "hv1") }))).toEqual({ a: "hv2", b: "hv2" });
  });

  test("that are closed take nothing, and say why", () => {
    const p = ask(three, { roles: { hv2: closed("hv2"), hv3: closed("hv3"), hv4: closed("hv4", "out for run 7") } });
    expect(why(p)).toEqual([
      "a (1 GiB) fits on none of hv2, hv3 and hv4: hv2 and hv3 are cordoned by an operator; hv4 is closed (out for run 7)",
    ]);
  });

  test("that were tried are not tried again", () => {
    const movers = [{ uuid: uuidOf("a"), from: "hv1", avoid: [tried("hv2"), tried("hv3")] }];
    expect(went(ask(three, { movers }))).toEqual({ a: "hv4" });
  });

  test("that were tried are named with what was said there", () => {
    const hosts = [host("hv1", [vm("a", 4)]), host("hv2"), host("hv3", [vm("b", 15)])];
    const movers = [{ uuid: uuidOf("a"), from: "hv1", avoid: [{ host: "hv2", why: "migration failed: no route" }] }];
    expect(why(ask(hosts, { movers }))).toEqual([
      "a (4 GiB) fits on none of hv2 and hv3: hv2 was tried (migration failed: no route); hv3 has 1 GiB left",
    ]);
  });

  test("that are emptied together do not take from each other", () => {
    const p = ask([host("hv1", [vm("a", 1)]), host("hv2", [vm("b", 1)]), host("hv3")], {
      roles: { hv2: { is: "source" } },
    });
    expect(went(p)).toEqual({ a: "hv3", b: "hv3" });
  });

  test("may all be missing", () => {
    expect(why(ask([host("hv1", [vm("a", 1)])]))).toEqual([
      "a (1 GiB) has nowhere to go: there is no other host in the cluster of hv1",
    ]);
  });

  test("that a guest with their processor could not leave again are avoided, and taken with a warning", () => {
    const plain = { cpuMode: "host-passthrough" };
    const newer = { cpuFeatures: ["avx", "avx2", "amx"] };
    const guest = vm("a", 10, plain);
    expect(went(ask([host("hv1", [guest]), host("hv2", [], newer), host("hv3")]))).toEqual({ a: "hv3" });
    const p = ask([host("hv1", [guest]), host("hv2", [], newer), host("hv3", [vm("x", 10)])]);
    expect(went(p)).toEqual({ a: "hv2" });
    expect(p.warnings.map((w) => w.text)).toEqual([
      "a can run on hv2 but not leave it again: no other host has all CPU features of hv2",
    ]);
  });
});

describe("a reserve", () => {
  const pool = poolOf({ spareHosts: 1 });

  test("is kept for the loss of any one host more", () => {
    const hosts = (extra: number) => [
      host("hv1", [vm("a", extra)]),
      host("hv2", [vm("b", 6)]),
      host("hv3", [vm("c", 6)]),
    ];
    expect(ask(hosts(4), { pool }).feasible).toBe(true);
    expect(ask(hosts(5))).toMatchObject({ feasible: true });
    expect(why(ask(hosts(5), { pool }))).toEqual([
      "a (5 GiB) fits on none of hv2 and hv3: hv2 and hv3 have room only as a reserve for the loss of another host",
    ]);
  });

  test("that is missing whatever moves is named once", () => {
    const p = ask([host("hv1", [vm("a", 1)]), host("hv2", [vm("b", 10)]), host("hv3", [vm("c", 10)])], { pool });
    expect(p.blockers.map((b) => [b.host, b.uuid, b.reason.rule, b.reason.text])).toEqual([
      ["hv1", "", "spare-hosts", "without hv1 the hosts that take instances could not take in the loss of one more"],
    ]);
    expect(p.blockers[0]?.reason.subject).toBe("default");
    expect(went(p)).toEqual({ a: "hv2" });
  });

  test("is not asked for what nothing but its host can run", () => {
    const local = vm("b", 12, { disks: [localDisk("vda")] });
    expect(ask([host("hv1", [vm("a", 1)]), host("hv2", [local]), host("hv3", [vm("c", 3)])], { pool }).feasible).toBe(
      true,
    );
  });
});

describe("what is in the way", () => {
  test("is the smallest set, with what would help", () => {
    const p = ask([host("hv1", [vm("vm1", 2), vm("vm7", 12)]), host("hv2", [vm("x", 10)]), host("hv3", [vm("y", 8)])]);
    expect(p.blockers).toMatchObject([
      {
        host: "hv1",
        name: "vm7",
        missingMib: 4 * GIB,
        reason: {
          rule: "no-target",
          subject: "vm7",
          text: "vm7 (12 GiB) fits on none of hv2 and hv3: hv2 has 4 GiB left; hv3 has 8 GiB left",
          fix: "free 4 GiB on hv3, consent to stop it: --consent-stop vm7, or leave hv1 out",
        },
      },
    ]);
    expect(went(p)).toEqual({ vm1: "hv2" });
  });

  test("is one large rather than several small", () => {
    const p = ask([host("hv1", [vm("a", 6), vm("b", 6), vm("c", 9)]), host("hv2")]);
    expect(p.blockers.map((b) => b.name)).toEqual(["c"]);
  });

  test("is of the less important tier first", () => {
    const hosts = (tier: string) => [host("hv1", [vm("a", 9, { metadata: { tier } }), vm("b", 10)]), host("hv2")];
    expect(ask(hosts("0")).blockers.map((b) => b.name)).toEqual(["b"]);
    expect(ask(hosts("1")).blockers.map((b) => b.name)).toEqual(["a"]);
  });

  test("is told for instances that cannot leave at all without a word on targets", () => {
    const p = ask([host("hv1", [vm("a", 1, { devices: [{ kind: "pci", name: "0000:3b:00.0" }] })]), host("hv2")]);
    expect(p.blockers).toMatchObject([
      {
        targets: [],
        reason: {
          rule: "passthrough-device",
          text: "a cannot leave hv1: it holds PCI device 0000:3b:00.0 of the host",
          fix: "detach the device, consent to stop it: --consent-stop a, or leave hv1 out",
        },
      },
    ]);
  });

  test("names many hosts in few words", () => {
    const many = Array.from({ length: 40 }, (_, i) =>
      host(`hv${i + 2}`, [], { bridges: i < 30 ? [] : ["br0"], memoryMib: GIB }),
    );
    expect(why(ask([host("hv1", [vm("a", 2)]), ...many]))).toEqual([
      "a (2 GiB) fits on none of hv2, hv3, hv4, hv5, hv6 and 35 more: hv2, hv3, hv4, hv5, hv6 and 25 more have no bridge br0; hv32, hv33, hv34, hv35, hv36 and 5 more have 1 GiB left",
    ]);
  });

  test("does not offer a stop that would not come back", () => {
    const p = ask([host("hv1", [vm("a", 20, { persistent: false })]), host("hv2")]);
    expect(p.blockers[0]?.reason.fix).toBe("free 4 GiB on hv2, or leave hv1 out");
  });
});

describe("consent to stop", () => {
  const hosts = [host("hv1", [vm("a", 10), vm("b", 10)]), host("hv2")];

  test("is never assumed", () => {
    expect(ask(hosts)).toMatchObject({ feasible: false, stops: [] });
  });

  test("is used for what cannot move, and for no more", () => {
    const p = ask(hosts, { mayStop: new Set([uuidOf("b")]) });
    expect(p).toMatchObject({ feasible: true, blockers: [], stops: [{ name: "b", from: "hv1" }] });
    expect(went(p)).toEqual({ a: "hv2" });
    const both = ask(hosts, { mayStop: new Set([uuidOf("a"), uuidOf("b")]) });
    expect(both.stops).toHaveLength(1);
    const room = ask([...hosts, host("hv3")], { mayStop: new Set([uuidOf("a"), uuidOf("b")]) });
    expect(room).toMatchObject({ feasible: true, stops: [] });
  });

  test("that is not enough leaves the rest in the way", () => {
    const p = ask([host("hv1", [vm("a", 1), vm("b", 20), vm("c", 20)]), host("hv2")], {
      mayStop: new Set([uuidOf("b")]),
    });
    expect(p.stops.map((s) => s.name)).toEqual(["b"]);
    expect(p.blockers.map((b) => b.name)).toEqual(["c"]);
    expect(went(p)).toEqual({ a: "hv2" });
  });
});

describe("a picture that is not to be acted on", () => {
  test.each<[Parameters<typeof host>[3], string | undefined]>([
    [{}, undefined],
    [{ readT: 40_000 }, undefined],
    [{ connected: false }, "hv2 is not connected, so what runs there is not known"],
    [
      { inventory: { problem: "libvirtd does not answer" } },
      "hv2 is not able to read its platform: libvirtd does not answer",
    ],
    [{ readT: -30_000 }, "hv2 has told nothing of its instances for 1m 30s"],
  ])("%j", (about, text) => {
    expect(pictureProblem(host("hv2", [], {}, about), 60_000)?.text).toBe(text);
  });
});
