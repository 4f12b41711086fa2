import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  applyPool,
  countersOf,
  homeOf,
  instancesOf,
  isKnown,
  movesOf,
  nothingLeft,
  placesOf,
  planOf,
  ranOn,
} from "./evacuation-kit.ts";
import { Pool, unable, until } from "./kit.ts";
import { counter, counts, createGuest, type Guest } from "./lib/guests.ts";
import { LOCAL } from "./lib/hypervisor.ts";
import { putFile } from "./lib/lab.ts";

// Guests that cannot leave their host, each for a reason of its own, which is libvirt's or QEMU's as it really is. The plan names each, and
// touches nothing; with the policy or the consent that it names, the run goes on.

/** Memory for guests on each host, MiB: not enough for a large one beside the others. */
const GUEST_MIB = 1024;

/** The two rivals may not share a host, and have only hv1 and hv2 to be on. */
const RIVALS = `  - { match: "rival-*", apart: rivals, requires: pair }`;
const capacity = "capacity: { cpuOvercommit: 16 }\n";

let pool: Pool;
let guests: Record<"local" | "device" | "model" | "rival-1" | "rival-2" | "large" | "plain", Guest>;

describe.skipIf(unable({ libvirt: true }) !== undefined)("guests that cannot move", () => {
  beforeAll(async () => {
    const labels = { cluster: "c1", pod: "p1", zone: "z1" };
    const hosts = { hv1: { ...labels, pair: "yes" }, hv2: { ...labels, pair: "yes" }, hv3: labels };
    pool = await Pool.start("refusals", hosts, { libvirt: true, guestMiB: GUEST_MIB });
    await emptyUsbBus("hv1");
    await applyPool(pool, `${capacity}instances:\n${RIVALS}\n`);
    const on = (host: string, name: string, options: Parameters<typeof createGuest>[3]) =>
      createGuest(pool.lab, host, name, options);
    const [local, device, model, rival1, rival2, large, plain] = await Promise.all([
      on("hv1", "local", { disk: "local" }),
      on("hv1", "device", { usb: true, devices: usbDevice }),
      on("hv1", "model", { xml: otherModel }),
      on("hv1", "rival-1", {}),
      on("hv2", "rival-2", {}),
      on("hv1", "large", { memoryMiB: 960 }),
      on("hv1", "plain", { disk: "shared" }),
    ]);
    guests = { local, device, model, "rival-1": rival1, "rival-2": rival2, large, plain };
    await on("hv3", "ballast", {});
    await on("hv2", "ballast-2", {});
    await isKnown(pool, ...Object.values(guests));
  });
  afterAll(() => pool?.stop());

  const flags = ["--hosts", "hv1", "--op", "reboot"];

  test("are named by the plan, each with its reason and its way out, and nothing is touched", async () => {
    const before = countersOf(Object.values(guests));
    const places = await placesOf(pool);
    const plan = await planOf(pool, ...flags);
    const said = (name: string) =>
      plan.blockers.find((b) => b.subject === name || b.text.startsWith(`${name} `)) ?? { text: "no blocker", fix: "" };
    const all = JSON.stringify(plan.blockers, undefined, 1);
    expect(said("local").text, all).toContain(`disk vda (${LOCAL}/local.qcow2), which only hv1 has`);
    expect(said("local").fix, all).toMatch(/migrate-with-storage.*--consent-stop local/);
    expect(said("device").text, all).toContain("it holds USB device 1234:beef of the host");
    expect(said("device").fix, all).toMatch(/detach the device.*--consent-stop device/);
    expect(said("model").text, all).toContain("CPU model Snowridge");
    expect(said("rival-1").text, all).toContain("hv2 runs rival-2, which is kept apart from it (rivals)");
    expect(said("rival-1").text, all).toContain("hv3 has no label pair");
    expect(said("large").text, all).toMatch(/large \(960 MiB\) .*(MiB|memory)/);
    expect(plan.blockers.length, all).toBe(5);

    // A run is refused in the same words before anything is changed.
    const report = await pool.roll(...flags);
    expect([report.outcome, report.hosts[0]?.stages.map((s) => s.stage)]).toEqual(["failed", ["PreFlight"]]);
    for (const { text } of plan.blockers) expect(report.hosts[0]?.reason).toContain(text);
    await ranOn(before);
    expect(await placesOf(pool)).toEqual(places);
    expect((await instancesOf(pool)).map((i) => i.generation)).toEqual((await instancesOf(pool)).map(() => 0));
    await nothingLeft(pool);
  });

  test("leave by policy or consent: copied with their disk, saved, shut down and started", async () => {
    const rules = [
      `  - { match: local, policy: migrate-with-storage }`,
      `  - { match: device, policy: shutdown-restart }`,
      `  - { match: model, policy: managed-save }`,
      RIVALS,
    ];
    await applyPool(pool, `${capacity}instances:\n${rules.join("\n")}\n`);
    const consent = ["--consent-stop", "rival-1", "--consent-stop", "large"];
    const plan = await planOf(pool, ...flags, ...consent);
    expect(plan.blockers).toEqual([]);
    const actions = Object.fromEntries(plan.waves[0]?.hosts[0]?.instances.map((i) => [i.name, i.action]) ?? []);
    const stops = {
      device: "shutdown-restart",
      model: "managed-save",
      "rival-1": "shutdown-restart",
      large: "shutdown-restart",
    };
    expect(actions).toMatchObject(stops);

    const { local, model, plain } = guests;
    const saved = counter(model);
    const before = countersOf([local, plain, guests["rival-2"]]);
    const stopped = countersOf([guests.device, guests["rival-1"], guests.large]);
    const run = await pool.detach(...flags, "--return", "none", "--ping-interval", "1", ...consent);
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, report.hosts[0]?.outcome], story).toEqual(["succeeded", "updated"]);

    await ranOn(before, story);
    const now = await homeOf(pool, local);
    expect(now, story).not.toBe("hv1");
    expect(existsSync(pool.lab.path(now, `${LOCAL}/local.qcow2`)), "the disk was copied along").toBe(true);
    expect(await homeOf(pool, plain), story).not.toBe("hv1");
    // Saved: it goes on where it was. Shut down: it booted anew, on the same host.
    expect(await homeOf(pool, model), story).toBe("hv1");
    expect((await counts(model, saved)).token, story).toBe(saved?.token);
    for (const [guest, was] of stopped) {
      expect(await homeOf(pool, guest), story).toBe("hv1");
      await until(`${guest.name} boots anew`, () => counter(guest)?.token !== was?.token);
    }
    const became = Object.fromEntries(movesOf(report).map((m) => [`${m.verb} ${m.name}`, m.outcome]));
    expect(became, story).toMatchObject({
      "move local": "moved",
      "move plain": "moved",
      "stop device": "stopped",
      "save model": "saved",
      "stop rival-1": "stopped",
      "stop large": "stopped",
    });
    await nothingLeft(pool);
  });
});

/**
 * Handed over from the host, and allowed to be absent, as it is: the guest starts without it, and libvirt goes on treating it as a guest
 * with a device of the host.
 */
const usbDevice = `<hostdev mode='subsystem' type='usb'>
  <source startupPolicy='optional'><vendor id='0x1234'/><product id='0xbeef'/></source>
</hostdev>`;

/** libvirt says of every host that it cannot run this model; without its check a guest may be started with it all the same. */
const otherModel = "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Snowridge</model></cpu>";

/** libvirt looks for USB devices; the machine beneath may have no USB at all. */
async function emptyUsbBus(host: string): Promise<void> {
  const unit = `[Unit]
DefaultDependencies=no
Before=libvirtd.service libvirt-guests.service
ConditionPathExists=!/sys/bus/usb/devices
[Service]
Type=oneshot
ExecStart=sh -c 'mount -t tmpfs tmpfs /sys/bus && mkdir -p /sys/bus/usb/devices'
[Install]
WantedBy=multi-user.target
`;
  putFile(pool.lab, host, "/etc/systemd/system/usb-bus.service", unit);
  await pool.lab.sh(host, "systemctl daemon-reload && systemctl enable -q --now usb-bus.service");
}
