import { expect, test } from "vitest";
import { hookSpec, identity, key, World } from "../testing/world.ts";
import { AgentCore } from "./core.ts";
import type { Hooks } from "./ports.ts";
import type { Outgoing } from "./types.ts";

const files = [{ name: "Maintenance", content: Buffer.from("x"), executable: true }];
const push = { type: "push-hooks", nonce: 7n, hash: "ab", files } as const;

function agent(world: World, replace: Hooks["replace"]) {
  const sent: Outgoing[] = [];
  const hooks = { ...world.ports.hooks, ...(replace === undefined ? {} : { replace }) };
  const core = new AgentCore({ ...world.ports, hooks }, identity);
  core.recover();
  core.connected((message) => sent.push(message));
  core.received({ type: "welcome", controller: "c", controllerVersion: "0", heartbeatIntervalMs: 1000 });
  return { core, answers: () => sent.filter((message) => message.type === "hooks-pushed") };
}

test("replaces the hooks and tells what is there now", () => {
  const calls: unknown[] = [];
  const { core, answers } = agent(new World(), (hash, given) => {
    calls.push([hash, given]);
    return { problem: "", changed: true, replaced: "/old" };
  });
  core.received(push);
  expect(calls).toEqual([["ab", files]]);
  expect(answers()).toMatchObject([
    { nonce: 7n, problem: "", changed: true, replaced: "/old", inventory: { dir: "/hooks" } },
  ]);
});

test("refuses while a step is in hand, whether it came before, after or together with the push", () => {
  const start = { type: "start", key: key(), spec: hookSpec() } as const;
  for (const order of [
    [[start], [push]],
    [[start, push]],
    [[push, start]],
    [[{ ...start, key: key("reboot"), spec: { kind: "reboot", timeoutMs: 1 } } as const], [push]],
  ]) {
    const world = new World();
    const { core, answers } = agent(world, () => {
      throw new Error("must not be called");
    });
    for (const messages of order) core.received(messages);
    expect(answers()).toMatchObject([
      { problem: expect.stringMatching(/\/hv1\/.* is in hand on this host; push again/), changed: false },
    ]);
  }
});

test("takes a push when the step has ended", () => {
  const world = new World();
  const { core, answers } = agent(world, () => ({ problem: "", changed: false, replaced: "" }));
  core.received({ type: "start", key: key(), spec: hookSpec() });
  world.finish("r1/hv1/Maintenance/1");
  core.tick();
  core.received(push);
  expect(answers()).toMatchObject([{ problem: "", changed: false }]);
});

test("passes a refusal on, and an agent that cannot do it says so", () => {
  const refusing = agent(new World(), () => ({ problem: "no", changed: false, replaced: "" }));
  refusing.core.received(push);
  expect(refusing.answers()).toMatchObject([{ problem: "no" }]);
  const old = agent(new World(), undefined);
  old.core.received(push);
  expect(old.answers()).toMatchObject([{ problem: "this agent takes no pushed hooks" }]);
});
