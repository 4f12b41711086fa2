import { describe, expect, test } from "vitest";
import { findDaemon, openTlsPort, type Systemctl } from "./daemon.ts";

/** As much of systemd as units being active and enabled. */
function systemd(active: readonly string[], enabled: readonly string[], fails: readonly string[] = []) {
  const units = { active: new Set(active), enabled: new Set(enabled) };
  const done: string[] = [];
  const systemctl: Systemctl = async ([verb = "", ...args]) => {
    const unit = args.at(-1) ?? "";
    const is = (set: Set<string>) => set.has(unit);
    if (verb === "show")
      return {
        ok: true,
        text: `ActiveState=${is(units.active) ? "active" : "inactive"}\nUnitFileState=${is(units.enabled) ? "enabled" : "disabled"}\n`,
      };
    if (verb === "is-active") return { ok: is(units.active), text: "" };
    if (verb === "is-enabled") return { ok: is(units.enabled), text: "" };
    done.push(`${verb} ${args.join(" ")}`);
    if (fails.includes(unit)) return { ok: false, text: "Job failed.\nSee logs" };
    for (const one of args) {
      if (verb === "start") units.active.add(one);
      if (verb === "stop") units.active.delete(one);
    }
    if (verb === "enable") units.enabled.add(unit);
    return { ok: true, text: "" };
  };
  return { systemctl, done, units };
}
const libvirtd = { name: "libvirtd", config: "libvirtd.conf" } as const;

describe("the daemon that answers other hosts", () => {
  test("is libvirtd where it is in use, else virtproxyd", async () => {
    const find = async (active: string[], enabled: string[] = []) =>
      (await findDaemon(systemd(active, enabled).systemctl)).name;
    expect(await find([], ["libvirtd.socket"])).toBe("libvirtd");
    expect(await find(["virtqemud.socket"])).toBe("virtproxyd");
    expect(await find(["libvirtd.service", "virtqemud.socket"])).toBe("libvirtd");
    expect(await find([])).toBe("libvirtd");
  });
});

describe("its TLS port", () => {
  test("opens before the service starts, and a service that runs is started anew for it", async () => {
    const { systemctl, done, units } = systemd(["libvirtd.service", "libvirtd.socket"], []);
    await openTlsPort(libvirtd, true, systemctl);
    expect(done).toEqual([
      "enable libvirtd-tls.socket",
      "stop libvirtd.socket libvirtd.service",
      "start libvirtd-tls.socket",
      "start libvirtd.socket libvirtd.service",
    ]);
    expect([...units.active].sort()).toEqual(["libvirtd-tls.socket", "libvirtd.service", "libvirtd.socket"]);
  });
  test("stays as it is when nothing has changed", async () => {
    const { systemctl, done } = systemd(["libvirtd.service", "libvirtd-tls.socket"], ["libvirtd-tls.socket"]);
    await openTlsPort(libvirtd, false, systemctl);
    expect(done).toEqual([]);
    await openTlsPort(libvirtd, true, systemctl);
    expect(done).toEqual(["try-restart libvirtd.service"]);
  });
  test("that does not open leaves the service running", async () => {
    const { systemctl, units } = systemd(["libvirtd.service"], [], ["libvirtd-tls.socket"]);
    units.enabled.add("libvirtd-tls.socket");
    await expect(openTlsPort(libvirtd, true, systemctl)).rejects.toThrow(
      "start libvirtd-tls.socket: Job failed. See logs",
    );
    expect(units.active.has("libvirtd.service")).toBe(true);
  });
});
