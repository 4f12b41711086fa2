import { describe, expect, test } from "vitest";
import { host, instance, poolOf, uuidOf } from "../testing/instances.ts";
import { place, type Question, type Role } from "./index.ts";

const GIB = 1024;
const big = (name: string, gib: number, over = {}) => instance(name, { memoryMib: gib * GIB, ...over });

function ask(hosts: Question["hosts"], over: Partial<Omit<Question, "roles">> & { roles?: Record<string, Role> } = {}) {
  const { roles = {}, ...rest } = over;
  const all = new Map<string, Role>([["hv1", { is: "source" }], ...Object.entries(roles)]);
  const movers = hosts
    .filter((h) => all.get(h.host)?.is === "source")
    .flatMap((h) => h.inventory.instances.map((i) => ({ uuid: i.uuid, from: h.host })));
  return place({ hosts, movers, pool: poolOf(), ...rest, roles: all });
}
const went = (p: ReturnType<typeof ask>) => Object.fromEntries(p.moves.map((m) => [m.name, m.to]));

describe("placement", () => {
  test("packs all of them together, not one by one", () => {
    const p = ask([host("hv1", [big("a", 10), big("b", 10)]), host("hv2"), host("hv3")]);
    expect(p.feasible).toBe(true);
    expect(new Set(Object.values(went(p)))).toEqual(new Set(["hv2", "hv3"]));
  });

  test("names the smallest set in the way, and what would help", () => {
    const p = ask([
      host("hv1", [big("vm1", 2), big("vm7", 12)]),
      host("hv2", [big("x", 10)]),
      host("hv3", [big("y", 8)]),
    ]);
    expect(p.feasible).toBe(false);
    expect(p.blockers).toMatchObject([
      {
        name: "vm7",
        missingMib: 4 * GIB,
        reason: {
          rule: "no-target",
          text: "vm7 (12 GiB) fits on none of hv2 and hv3: hv2 has 4 GiB left; hv3 has 8 GiB left",
          fix: "free 4 GiB on hv3, consent to stop it: --consent-stop vm7, or leave hv1 out",
        },
      },
    ]);
    expect(went(p)).toEqual({ vm1: "hv2" });
  });

  test("stops with consent only, and only what cannot move", () => {
    const hosts = [host("hv1", [big("a", 10), big("b", 10)]), host("hv2")];
    expect(ask(hosts)).toMatchObject({ feasible: false, stops: [] });
    const p = ask(hosts, { mayStop: new Set([uuidOf("b")]) });
    expect(p).toMatchObject({ feasible: true, stops: [{ name: "b" }] });
    expect(went(p)).toEqual({ a: "hv2" });
  });
});
