// Systems whose answers are written after their documentation (recorded/README.md).
import { describe, expect, it } from "vitest";
import { consulProbe } from "./consul/probe.ts";
import { drbdProbe } from "./drbd/probe.ts";
import { linstorProbe } from "./linstor/probe.ts";
import { standsDamage } from "./testing/damage.ts";
import { recorded, replay } from "./testing/recording.ts";
import { vaultProbe } from "./vault/probe.ts";

const consul = (situation: string) => replay(consulProbe, recorded("consul", situation));
const vault = (situation: string) => replay(vaultProbe, recorded("vault", situation));
const drbd = (situation: string) => replay(drbdProbe, recorded("drbd", situation));
const linstor = (situation: string) => replay(linstorProbe, recorded("linstor", situation));

describe("Consul", () => {
  it("is healthy with all servers, and takes 429 for an answer", async () => {
    expect(await consul("healthy")).toMatchObject({
      state: "healthy",
      sets: [{ needed: 2, members: [{ name: "h1", host: "10.9.0.1", roles: ["leader"] }, {}, {}] }],
    });
    expect(await consul("degraded")).toMatchObject({
      state: "degraded",
      reasons: ["consul server h3 is not healthy (failed)"],
    });
    expect((await consul("down")).state).toBe("unknown");
  });
});

describe("Vault", () => {
  it("is healthy with all servers and unsealed", async () => {
    expect(await vault("healthy")).toMatchObject({
      state: "healthy",
      sets: [{ needed: 2, members: [{ name: "v1", roles: ["leader"] }, {}, {}] }],
    });
    expect(await vault("degraded")).toMatchObject({
      state: "degraded",
      reasons: ["vault server v3 is not healthy (failed)"],
    });
    expect((await vault("sealed")).reasons).toEqual(["vault: this server is sealed; unseal it"]);
    expect((await vault("down")).state).toBe("unknown");
  });
});

describe("DRBD", () => {
  it("is healthy when every disk is up to date", async () => {
    expect(await drbd("healthy")).toMatchObject({ state: "healthy", sets: [{ name: "vm1 volume 0", needed: 2 }] });
    const two = await drbd("two");
    expect(two).toMatchObject({ state: "healthy", sets: [{ needed: 1 }] });
    expect(two.sets[0]?.members.map((m) => m.name)).toEqual(["n1", "n2"]);
  });
  it("names the peer that is away, and what is out of sync", async () => {
    expect((await drbd("degraded")).reasons).toEqual(["drbd vm1 volume 0: n3 is Connecting"]);
    const health = await drbd("resyncing");
    expect(health.state).toBe("degraded");
    expect(health.sets[0]?.repairing).toBe("n3: SyncSource, 123456 KiB out of sync");
    expect((await drbd("down")).state).toBe("unknown");
  });
});

describe("LINSTOR", () => {
  it("counts the nodes that hold data", async () => {
    expect(await linstor("healthy")).toMatchObject({
      state: "healthy",
      sets: [{ name: "vm1 volume 0", needed: 1, members: [{ name: "n1" }, { name: "n2" }] }],
    });
    expect((await linstor("degraded")).reasons).toEqual([
      "linstor node n2 is OFFLINE",
      "linstor vm1 volume 0 on n2 is DUnknown",
    ]);
    expect((await linstor("down")).state).toBe("unknown");
  });
});

standsDamage({ probe: consulProbe, system: "consul", situations: ["healthy", "degraded", "down"] });
standsDamage({ probe: vaultProbe, system: "vault", situations: ["healthy", "degraded", "sealed", "down"] });
standsDamage({ probe: drbdProbe, system: "drbd", situations: ["healthy", "two", "degraded", "resyncing", "down"] });
standsDamage({ probe: linstorProbe, system: "linstor", situations: ["healthy", "degraded", "down"] });
