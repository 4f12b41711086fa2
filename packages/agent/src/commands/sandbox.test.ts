import { expect, test } from "vitest";
import { refuseSandboxedHooks } from "./sandbox.ts";

test("only the direct executor's hooks are in the agent's sandbox", () => {
  const sandboxed = { SLIPWAY_SANDBOX: "yes" };
  expect(() => refuseSandboxedHooks("direct", sandboxed)).toThrow(/direct-executor\.conf/);
  expect(() => refuseSandboxedHooks("systemd", sandboxed)).not.toThrow();
  for (const env of [{}, { SLIPWAY_SANDBOX: "no" }]) expect(() => refuseSandboxedHooks("direct", env)).not.toThrow();
});
