// What every probe has to stand: answers that are cut, garbled, or in words that nobody expects.
import type { SystemHealth } from "@slipway/shared";
import { describe, expect, it } from "vitest";
import type { Answer } from "../answer.ts";
import type { Probe } from "../probe.ts";
import { type Recording, type Replay, recorded, replay } from "./recording.ts";

const ROUNDS = 100;
const base: Answer = { stdout: "", stderr: "", exitCode: 0, timedOut: false, problem: "" };
const unanswered: Answer = { stdout: "", stderr: "", timedOut: false, problem: "connection refused" };

/** A small generator of its own (xorshift), so that a failing case is found again by its seed. */
function generator(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}
type Pick = ReturnType<typeof generator>;

/** Damage that leaves traces. */
const visible: Readonly<Record<string, (text: string, pick: Pick) => string>> = {
  cut: (text, pick) => text.slice(0, pick(text.trimEnd().length)),
  "a line lost": (text, pick) => {
    const lines = text.split("\n");
    return lines.toSpliced(pick(Math.max(1, lines.length - 1)), 1).join("\n");
  },
  "a number garbled": (text, pick) => {
    const numbers = [...text.matchAll(/(?<![\w.-])\d+(?![\w.-])/g)];
    const found = numbers[pick(numbers.length || 1)];
    if (found === undefined) return text;
    const garbage = ["-", "", "NaN", "1e3", "-1", "0x1f", "zwei", "٣"][pick(8)] ?? "";
    return text.slice(0, found.index) + garbage + text.slice(found.index + found[0].length);
  },
  "a byte garbled": (text, pick) => {
    const at = pick(text.length);
    return `${text.slice(0, at)}${pick(2) === 0 ? "\ufffd" : "\u0001"}${text.slice(at + 1)}`;
  },
};

/** A flipped bit can make another word of the same language: nobody sees that, but no member may vanish by it. */
function flip(text: string, pick: Pick): string {
  const at = pick(text.length);
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << pick(6))) + text.slice(at + 1);
}

export interface DamageCase extends Replay {
  readonly probe: Probe;
  readonly system: string;
  readonly situations: readonly string[];
  /** How often each situation is damaged in each way; default 100. */
  readonly rounds?: number;
}

export function standsDamage({ probe, system, situations, rounds = ROUNDS, ...options }: DamageCase): void {
  const ask = (recording: Recording) => replay(probe, recording, { otherwise: unanswered, ...options });
  const everywhere = (answer: Answer) =>
    new Map([...recorded(system, situations[0] ?? "").keys()].map((asked) => [asked, answer]));

  describe(`${system}: answers that are none`, () => {
    it.each([
      ["nothing at all", base],
      ["garbage", { ...base, stdout: "\u0000\u0017ELF\u0002 }{<<< 0 0 0 ok healthy\n" }],
      ["a page of a proxy", { ...base, stdout: "<html><body>200 OK</body></html>", exitCode: 200 }],
      ["another language", { ...base, stdout: "Le cluster est en bonne santé, 3 membres actifs\n" }],
      ["another language, as an error", { ...base, exitCode: 1, stderr: "Fehler: Verbindung abgelehnt\n" }],
      ["deep nesting", { ...base, stdout: "[".repeat(50_000) }],
      ["no end in time", { ...unanswered, problem: "", timedOut: true }],
      ["not installed", { ...unanswered, problem: `${system} is not installed` }],
    ])("%s is unknown, and says why", async (_name, answer) => {
      const health = await replay(probe, everywhere(answer), { otherwise: answer, ...options });
      expect(health).toMatchObject({ system: probe.system, state: "unknown" });
      expect(health.reasons.join()).not.toBe("");
    });
  });

  describe(`${system}: damaged answers`, () => {
    it.each(situations)("of %s never make it well", async (situation) => {
      const recording = recorded(system, situation);
      const whole = await ask(recording);
      const answered = [...recording.keys()].filter((asked) => recording.get(asked)?.stdout.trim() !== "");
      if (answered.length === 0) return expect(whole.state).not.toBe("healthy");
      for (let seed = 1; seed <= rounds; seed++) {
        const pick = generator(seed);
        const asked = answered[pick(answered.length)] ?? "";
        const answer = recording.get(asked) ?? base;
        for (const [name, damage] of Object.entries({ ...visible, flip })) {
          const stdout = damage(answer.stdout, pick);
          if (stdout.trim() === answer.stdout.trim()) continue;
          const health = await ask(new Map(recording).set(asked, { ...answer, stdout }));
          const at = `seed ${seed}, ${name}, in the answer to ${asked}`;
          if (!/^(?:healthy|degraded|unknown)$/.test(health.state)) expect.fail(`${at}: state ${health.state}`);
          if (health.goingVerdict === "ok" && whole.goingVerdict !== "ok" && name !== "flip")
            expect.fail(`${at}: they may go now`);
          if (health.state !== "healthy") continue;
          if (whole.state !== "healthy" && name !== "flip") expect.fail(`${at}: it is healthy now`);
          expect(name === "flip" ? sizes(health) : meaning(health), at).toEqual(
            name === "flip" ? sizes(whole) : meaning(whole),
          );
        }
      }
    });
  });
}

function meaning({ sets, identity }: SystemHealth): unknown {
  return {
    identity,
    sets: sets.map((s) => ({ ...s, members: s.members.map((m) => ({ ...m, note: "", roles: [] })) })),
  };
}

function sizes({ sets }: SystemHealth): number {
  return sets.reduce((sum, s) => sum + s.members.length, 0);
}
