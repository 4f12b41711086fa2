import { connect, unaryClient } from "@slipway/shared/grpc";
import { createRequest, parseToken } from "@slipway/shared/tls";
import { agentWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeAgent } from "../testing/fake-agent.ts";
import { type OperatorClient, until, World } from "../testing/world.ts";

const BOUNDS = { deadlineMs: 10_000 };
let world: World;
let alice: OperatorClient;

beforeEach(async () => {
  world = await World.make();
  alice = await world.client("operator", "alice");
});
afterEach(async () => {
  await world.end();
});

async function enrol(token: string): Promise<{ ca: string; certificate: string; key: string }> {
  const ca = world.file("ca.pem");
  const client = connect(world.controller.enrolListen, { ca });
  try {
    const { id, secret } = parseToken(token);
    const { key, csr } = await createRequest("hv1");
    const answer = await unaryClient(client, agentWire.EnrolmentService).enrol(
      { tokenId: id, tokenSecret: secret, host: "hv1", csrPem: csr },
      BOUNDS,
    );
    return { ca, certificate: answer.certificatePem, key };
  } finally {
    client.close();
  }
}
function agent(tls: { ca: string; certificate: string; key: string }, options = {}): FakeAgent {
  const made = new FakeAgent({ address: world.controller.listen, host: "hv1", tls, ...options });
  world.onEnd(() => made.close());
  return made;
}
const isConnected = () => world.controller.registry.host("hv1")?.connected === true;
const newToken = async () => (await alice.createToken({ host: "hv1" }, BOUNDS)).token;

test("a removed host is forgotten, cut off and kept out; a new token brings it back", async () => {
  const first = await enrol(await newToken());
  const before = agent(first);
  await until("its connection", isConnected);
  const spare = await newToken();
  await alice.removeHost({ host: "hv1", reason: "sold" }, BOUNDS).then((r) => expect(r.wasConnected).toBe(true));
  expect((await until("its end", () => before.status)).details).toBe("hv1 was removed by alice");
  expect((await alice.listHosts({}, BOUNDS)).hosts).toEqual([]);
  expect(world.controller.store.audit.latest(1)).toMatchObject([
    { who: "alice", method: "removeHost", what: "host hv1: sold", result: "ok" },
  ]);

  const again = agent(first);
  expect((await until("its refusal", () => again.status)).details).toMatch(
    /hv1 was removed, and its certificate with it/,
  );
  await expect(enrol(spare)).rejects.toThrow(/ran out/);

  // Still so after a restart of the controller.
  await world.controller.stop();
  await world.start();
  alice = await world.client("operator", "alice");
  const late = agent(first);
  expect((await until("its refusal", () => late.status)).code).toBe(7);

  const second = await enrol(await newToken());
  agent(second);
  await until("its connection", isConnected);
  const old = agent(first);
  expect((await until("its refusal", () => old.status)).code).toBe(7);
  expect(isConnected()).toBe(true);
});

test("a token for any new host takes a removed name, and no name that is in use", async () => {
  agent(await enrol(await newToken()));
  await until("its connection", isConnected);
  const { token } = await alice.createToken({}, BOUNDS);
  await expect(enrol(token)).rejects.toThrow(/there is a host hv1 already/);
  await alice.removeHost({ host: "hv1" }, BOUNDS);
  agent(await enrol(token));
  await until("its connection", isConnected);
});

test("is refused while a run has the host", async () => {
  const tls = await world.tls("agent", "hv1");
  const made = agent(tls, {
    answer: (start: agentWire.StartStep) => (start.spec.case === "inspect" ? {} : undefined),
  });
  await until("its connection", isConnected);
  const { run } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
  await until("a hook", () => made.started.length > 1);
  await expect(alice.removeHost({ host: "hv1" }, BOUNDS)).rejects.toThrow(`run ${run} has it in its scope; wait`);
  expect(isConnected()).toBe(true);
  await expect(alice.removeHost({ host: "hv2" }, BOUNDS)).rejects.toThrow(
    /there is none of that name; did you mean hv1/,
  );
});

test("is refused while a run left the host cordoned", async () => {
  const made = await world.agent("hv1", {
    answer: (start) =>
      start.spec.case === "hook" && start.spec.value.stage === "Maintenance"
        ? { verdict: agentWire.Verdict.FAILED, exitCode: 1 }
        : {},
  });
  await until("its connection", isConnected);
  const { run } = await alice.startRun({ scope: { hosts: ["hv1"] } }, BOUNDS);
  await until("the end", async () => (await alice.getRun({ run }, BOUNDS)).run?.state === "ended");
  await expect(alice.removeHost({ host: "hv1" }, BOUNDS)).rejects.toThrow(
    `host hv1: run ${run} left it cordoned; settle that first: slipway uncordon hv1`,
  );
  await alice.setCordon({ host: "hv1", cordoned: false }, BOUNDS);
  await alice.removeHost({ host: "hv1" }, BOUNDS);
  await until("its end", () => made.status);
});
