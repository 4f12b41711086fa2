import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { chance } from "../testing/chance.ts";
import { host, instance, poolOf } from "../testing/instances.ts";
import { rehearse } from "./index.ts";

const GIB = 1024;

describe("rehearsals of random runs", () => {
  /** Plays the moves of a rehearsal once more, with nothing but sums. */
  function replay(seed: number) {
    const r = chance(seed);
    const words = ["migrate", "migrate", "migrate", "shutdown-restart", "managed-save", "leave"];
    let n = 0;
    const hosts = Array.from({ length: r.int(2, 6) }, (_, h) =>
      host(
        `hv${h + 1}`,
        Array.from({ length: r.int(0, 5) }, () => {
          n++;
          const metadata: Record<string, string> = { policy: words[r.int(0, words.length - 1)] ?? "" };
          if (r.one(20)) metadata["apart"] = "a";
          if (r.one(25)) metadata["home"] = `hv${r.int(1, 3)}`;
          return instance(`vm${n}`, {
            memoryMib: r.int(1, 5) * GIB,
            metadata,
            state: r.one(10) ? "shutoff" : "running",
          });
        }),
        { memoryMib: r.int(12, 28) * GIB, cpus: 64 },
      ),
    );
    const waves: string[][] = [];
    for (const { host: name } of hosts)
      if (waves.length === 0 || r.one(75)) waves.push([name]);
      else waves.at(-1)?.push(name);
    const consentStop = Array.from({ length: n }, (_, i) => `vm${i + 1}`).filter(() => r.one(15));
    const mode = (["none", "preferred", "exact"] as const)[r.int(0, 2)] ?? "none";
    const op = r.one(30) ? "drain" : r.one(50) ? "reboot" : "hooks";
    const options = { nowT: 0, consentStop, op, reboot: "if-asked", return: mode } as const;
    const result = rehearse(hosts, waves, options, poolOf());
    return { hosts, waves, options, result };
  }

  test("empty every host, promise no memory twice, stop nothing without a word, and count right", () => {
    let clean = 0;
    for (let seed = 1; seed <= 1500; seed++) {
      const { hosts, waves, options, result } = replay(seed);
      const on = new Map(hosts.map((h) => [h.host, new Map(h.inventory.instances.map((i) => [i.uuid, i]))]));
      const at = (name: string) => on.get(name) ?? new Map<string, Instance>();
      const crowded = (name: string) => {
        const running = [...at(name).values()].filter((i) => i.state === "running");
        const used = running.reduce((sum, i) => sum + i.memoryMib, 0);
        const apart = running.filter((i) => i.metadata["apart"] === "a").length;
        return { used, apart };
      };
      const carry = (m: { uuid: string; from: string; to: string; name: string }) => {
        const i = at(m.from).get(m.uuid);
        expect(i?.state, `seed ${seed}: ${m.name} on ${m.from}`).toBe("running");
        if (!i) return;
        at(m.from).delete(m.uuid);
        at(m.to).set(m.uuid, i);
        const now = crowded(m.to);
        const memory = hosts.find((h) => h.host === m.to)?.inventory.capacity?.memoryMib ?? 0;
        expect(now.used, `seed ${seed}: ${m.name} to ${m.to}`).toBeLessThanOrEqual(memory);
        if (i.metadata["apart"] === "a") expect(now.apart, `seed ${seed}: ${m.name} to ${m.to}`).toBe(1);
      };
      let moves = 0;
      for (const [w, wave] of waves.entries()) {
        const turns = result.hosts.filter((t) => t.wave === w + 1);
        expect(turns.map((t) => t.host)).toEqual(wave);
        const out = options.op === "drain" ? waves.slice(0, w + 1).flat() : wave;
        for (const t of turns)
          for (const m of t.moves) {
            expect(out, `seed ${seed}: ${m.name}`).not.toContain(m.to);
            carry(m);
            moves++;
          }
        for (const t of turns) {
          for (const s of t.stops) {
            const i = at(t.host).get(s.uuid);
            const said = i?.metadata["policy"] === s.how || options.consentStop.includes(s.name);
            expect(said, `seed ${seed}: ${s.name} is stopped`).toBe(true);
          }
          const accounted = [...t.stops, ...t.leaves, ...t.blockers].map((x) => x.uuid);
          const left = [...at(t.host).values()].filter((i) => i.state === "running" && !accounted.includes(i.uuid));
          expect(
            left.map((i) => i.name),
            `seed ${seed}: left on ${t.host}`,
          ).toEqual([]);
          if (options.op === "reboot") expect(t.leaves).toEqual([]);
        }
        for (const t of turns)
          for (const m of t.returns) {
            expect(m.to).toBe(t.host);
            carry(m);
            moves++;
          }
      }
      expect(result.moves, `seed ${seed}`).toBe(moves);
      expect(result.floor).toBeLessThanOrEqual(moves);
      if (result.blockers.length === 0) clean++;
    }
    expect(clean).toBeGreaterThan(150);
  });
});
