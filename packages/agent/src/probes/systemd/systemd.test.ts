import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { recorded, replay } from "../testing/recording.ts";
import { systemdProbe } from "./probe.ts";

const look = (situation: string, units: string) =>
  replay(systemdProbe, recorded("systemd", situation), { settings: { units } });

describe("systemd units", () => {
  it("are healthy when all are active", async () => {
    expect(await look("healthy", "dbus,systemd-journald.service,dbus.socket")).toMatchObject({
      state: "healthy",
      reasons: [],
    });
  });
  it("are named when they are not, and when they do not exist", async () => {
    expect(await look("degraded", "dbus,slipway-fails,slipway-stopped.service,no-such")).toMatchObject({
      state: "degraded",
      reasons: [
        "unit slipway-fails.service is failed (failed, exit-code)",
        "unit slipway-stopped.service is inactive (dead)",
        "unit no-such.service is not-found",
      ],
    });
  });
  it.each(["", "-x", "a b", "../x", "x\u0000"])("are refused by names that are none: %j", async (units) => {
    expect((await look("healthy", units)).state).toBe("unknown");
  });
});

standsDamage({
  probe: systemdProbe,
  system: "systemd",
  settings: { units: "dbus,systemd-journald.service,dbus.socket" },
  situations: ["healthy", "down"],
});
