import { describe, expect, it } from "vitest";
import { checkAddress, checkLibvirt, checkPeer, emulatorUser } from "./libvirt.ts";

describe("what doctor makes of libvirt", () => {
  it("names what does not answer, and the way out", () => {
    const down = { platform: "libvirt", problem: "libvirt: failed to connect", instances: [] };
    expect(checkLibvirt("qemu:///system", down)).toMatchObject({
      state: "bad",
      text: expect.stringMatching(/failed to connect; see systemctl status libvirtd/),
    });
    expect(checkLibvirt("qemu:///system", { ...down, problem: "" })).toMatchObject({ state: "ok" });
    expect(checkPeer("qemu+tls://hv1/system", "")).toMatchObject({ state: "ok" });
    expect(checkPeer("qemu+tls://hv1/system", "Connection refused").text).toMatch(/run slipway-agent libvirt-tls/);
  });
  it("knows addresses that are good for this host only", () => {
    expect(checkAddress("tcp://10.1.0.2", "hv1", "127.0.1.1").state).toBe("ok");
    expect(checkAddress("", "hv1", "10.0.0.1").state).toBe("ok");
    for (const address of ["127.0.1.1", "::1", undefined])
      expect(checkAddress("", "hv1", address)).toMatchObject({
        state: "bad",
        text: expect.stringMatching(/set slipway\.migration\.address/),
      });
  });
  it("finds the user as whom guests run", () => {
    const passwd = "root:x:0:0::/root:/bin/sh\nlibvirt-qemu:x:64055:108::/:/sbin/nologin\n";
    expect(emulatorUser('#user = "root"\n', passwd)).toBe("libvirt-qemu");
    expect(emulatorUser('user = "root"\n', passwd)).toBe("root");
    expect(emulatorUser('user = "nobody-here"\n', "")).toBeUndefined();
  });
});
