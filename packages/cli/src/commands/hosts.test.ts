import { SlipwayError } from "@slipway/shared";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "../program.ts";
import { FakeIo, FakeOperator } from "../testing/fakeOperator.ts";

let fake: FakeOperator;
beforeEach(async () => {
  fake = new FakeOperator();
  await fake.start();
});
afterEach(() => fake.remove());

async function slipway(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const io = new FakeIo({ SLIPWAY_CONFIG: fake.config });
  const status = await run(args, io);
  return { status, out: io.stdout, err: io.stderr };
}

test.each([
  [["host", "add"], /missing required argument 'TARGET'/],
  [["host", "add", "root@-oX"], /TARGET: "root@-oX" names no host; write user@host/],
  [["host", "add", "root@hv7", "--labels", "cluster"], /--labels: "cluster" is no label/],
  [["host", "add", "root@hv7", "--labels", "a=b\nslipway.hooks.push=true"], /--labels: .* is no label/],
  [["host", "add", "root@hv7", "--controller", "c1"], /"c1" is no host:port/],
  [["host", "add", "root@hv7", "--host-key", "aa:bb"], /--host-key: "aa:bb" is no fingerprint; write SHA256:/],
  [["host", "add", "root@hv7", "--jump", "a b"], /--jump: "a b" names no host/],
  [["host", "add", "root@hv7", "--identity", "/nonexistent/key"], /--identity: \/nonexistent\/key does not exist/],
  [["host", "add", "root@hv7"], /ssh: there is no key to log in with; give --identity FILE/],
  [["host", "remove", "hv7", "--ssh", "root@hv7:0"], /--ssh: "root@hv7:0" has no port/],
])("%j is wrong use, and nothing is asked of the controller", async (args, expected) => {
  const { status, err } = await slipway(...args);
  expect([status, err]).toEqual([2, expect.stringMatching(expected)]);
});

test("remove has the controller forget the host", async () => {
  fake.handlers.removeHost = (request) => {
    expect(request).toMatchObject({ host: "hv7", reason: "sold" });
    return { host: "hv7", wasConnected: true };
  };
  expect(await slipway("host", "remove", "hv7", "--reason", "sold")).toEqual({
    status: 0,
    out: "host hv7: removed; its agent was cut off and keeps trying: stop it there\n",
    err: "",
  });
  fake.handlers.removeHost = () => {
    throw new SlipwayError("refused", "host hv7: run r1 has it in its scope", { fix: "wait for the run" });
  };
  expect(await slipway("host", "remove", "hv7")).toMatchObject({
    status: 1,
    err: expect.stringContaining("run r1 has it"),
  });
});
