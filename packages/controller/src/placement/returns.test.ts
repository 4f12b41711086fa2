import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { host, instance, localDisk, poolOf, uuidOf } from "../testing/instances.ts";
import { returnsOf } from "./index.ts";

const GIB = 1024;
const vm = (name: string, gib: number, over: Partial<Instance> = {}) =>
  instance(name, { memoryMib: gib * GIB, ...over });
type Question = Parameters<typeof returnsOf>[0];

const ask = (over: Partial<Question> & Pick<Question, "hosts">) =>
  returnsOf({ host: "hv1", pool: poolOf(), mode: "exact", away: ["a", "b", "c"].map(uuidOf), ...over });
const back = (r: ReturnType<typeof ask>) => r.moves.map((m) => `${m.name} from ${m.from}`);

describe("what comes back to a host", () => {
  const home = { metadata: { home: "hv1" } };
  const hosts = [host("hv1"), host("hv2", [vm("a", 1), vm("x", 1)]), host("hv3", [vm("b", 2, home), vm("h", 1, home)])];

  test("is nothing, with none", () => {
    expect(ask({ hosts, mode: "none" })).toEqual({ moves: [], refused: [] });
  });

  test("is what is at home there, with preferred", () => {
    expect(back(ask({ hosts, mode: "preferred" }))).toEqual(["b from hv3", "h from hv3"]);
  });

  test("is what this run moved away and still runs, with exact", () => {
    expect(back(ask({ hosts }))).toEqual(["b from hv3", "a from hv2"]);
    const off = [host("hv1"), host("hv2", [vm("a", 1, { state: "shutoff" })])];
    expect(back(ask({ hosts: off }))).toEqual([]);
  });

  test("is the important first, then the large", () => {
    const tier = (n: number) => ({ metadata: { tier: String(n) } });
    const all = [host("hv1"), host("hv2", [vm("a", 4, tier(1)), vm("b", 1), vm("c", 2)])];
    expect(back(ask({ hosts: all }))).toEqual(["c from hv2", "b from hv2", "a from hv2"]);
  });

  test("is no more than there is room for; the rest is named, and smaller ones still come", () => {
    const r = ask({ hosts: [host("hv1", [vm("x", 10)]), host("hv2", [vm("a", 8), vm("b", 4), vm("c", 2)])] });
    expect(back(r)).toEqual(["b from hv2", "c from hv2"]);
    expect(r.refused).toMatchObject([
      { rule: "memory", subject: "a", text: "a cannot return to hv1: hv1 has 6 GiB left" },
    ]);
  });

  test("is nothing that is on its way, or whose host is not known well enough", () => {
    const inFlight = [{ instance: vm("a", 1), from: "hv2", to: "hv3" }];
    expect(back(ask({ hosts, inFlight }))).toEqual(["b from hv3"]);
    expect(back(ask({ hosts, closed: new Set(["hv3"]) }))).toEqual(["a from hv2"]);
  });

  test.each<[string, Partial<Instance>, Partial<Instance>, string]>([
    [
      "a rival is there",
      { metadata: { apart: "dns" } },
      { metadata: { apart: "dns" } },
      "a cannot return to hv1: x of the group dns that is kept apart runs there",
    ],
    [
      "it cannot run there",
      { nics: [{ kind: "bridge", source: "br9" }] },
      {},
      "a cannot return to hv1: hv1 has no bridge br9",
    ],
    [
      "its disk is left behind",
      { disks: [localDisk("vda")] },
      {},
      "a cannot return to hv1: hv1 does not reach disk vda (/var/lib/vm/vda.qcow2), which only hv2 has",
    ],
    ["its policy has changed", { metadata: { policy: "leave" } }, {}, "a cannot return to hv1: its policy is leave"],
    [
      "its policy is not known",
      { metadata: { policy: "lave" } },
      {},
      'a: its metadata says policy "lave", which is not known',
    ],
    ["it sleeps", { state: "suspended" }, {}, "a cannot return to hv1: it is suspended, asleep by its own wish"],
  ])("is refused when %s", (_name, over, other, text) => {
    const r = ask({ hosts: [host("hv1", [vm("x", 1, other)]), host("hv2", [vm("a", 1, over)])] });
    expect(r.moves).toEqual([]);
    expect(r.refused.map((x) => x.text)).toEqual([text]);
  });

  test("is a whole group or nothing of it", () => {
    const web = { metadata: { group: "web" } };
    const both = ask({ hosts: [host("hv1"), host("hv2", [vm("a", 5, web), vm("b", 5, web)])] });
    expect(back(both)).toEqual(["a from hv2", "b from hv2"]);
    const short = ask({ hosts: [host("hv1", [vm("x", 8)]), host("hv2", [vm("a", 5, web), vm("b", 5, web)])] });
    expect(back(short)).toEqual([]);
    expect(short.refused.map((r) => r.text)).toEqual(["a and b cannot return to hv1: hv1 has 8 GiB left"]);
    const torn = ask({ hosts: [host("hv1"), host("hv2", [vm("a", 1, web), vm("z", 1, web)])] });
    expect(torn.refused.map((r) => r.text)).toEqual(["a cannot return to hv1: z of its group web would stay on hv2"]);
  });
});
