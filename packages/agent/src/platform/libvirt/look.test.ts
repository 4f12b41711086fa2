import { expect, test } from "vitest";
import { lookAt } from "./look.ts";
import { FakeVirsh, type Script } from "./testing.ts";

const G1 = "aaaaaaaa-0000-4000-8000-000000000001";

const paused = (reason: number): Script => ({
  "list --all --uuid": `${G1}\n`,
  "list --all --uuid --autostart": "",
  "list --all --uuid --persistent": "",
  "list --all --uuid --with-managed-save": "",
  [`domstats --state --raw --nowait ${G1}`]: `Domain: 'g1'\n  state.state=3\n  state.reason=${reason}\n`,
  [`domjobinfo --completed --keep-completed --rawstats ${G1}`]: "Job type: 0\n\n",
});
// As libvirt says it of a guest whose sender has lost power: it is gone by the time of the second question.
const gone: Script = {
  [`domjobinfo --rawstats ${G1}`]: { state: "failed", text: `failed to get domain '${G1}'` },
};

test("a guest that arrived and went away between two questions has not come", async () => {
  for (const reason of [2, 11]) {
    const virsh = new FakeVirsh({ ...paused(reason), ...gone });
    expect(await lookAt(virsh, G1), `reason ${reason}`).toMatchObject({ state: "incoming", job: "unknown" });
  }
  const held = new FakeVirsh({ ...paused(1), ...gone });
  expect(await lookAt(held, G1)).toMatchObject({ state: "paused", stateReason: "user" });
});

test("a guest that an operator paused stands still, and so does one on its way out", async () => {
  const idle = { [`domjobinfo --rawstats ${G1}`]: "Job type: 0\n\n" };
  for (const reason of [1, 2])
    expect(await lookAt(new FakeVirsh({ ...paused(reason), ...idle }), G1)).toMatchObject({ state: "paused", job: "" });
});
