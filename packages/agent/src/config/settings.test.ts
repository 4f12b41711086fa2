import { SlipwayError } from "@slipway/shared";
import { describe, expect, it } from "vitest";
import { parseProperties } from "./properties.ts";
import { parseSettings } from "./settings.ts";

function pairs(text: string): [string, string, number][] {
  return parseProperties(text).map(({ key, value, line }) => [key, value, line]);
}

describe("the properties syntax", () => {
  it("takes every separator, comment and escape that Java takes", () => {
    expect(
      pairs(
        "# c\n! c\n\na=1\nb: 2\nc 3\n  d  =  4 \ne\nf=a\\tb\\\\c\\u00e9\ng\\=h=x=y\ni=one\\\n    two\nj=back\\\\\nk=l\r\nm=#n",
      ),
    ).toEqual([
      ["a", "1", 4],
      ["b", "2", 5],
      ["c", "3", 6],
      ["d", "4 ", 7],
      ["e", "", 8],
      ["f", "a\tb\\cé", 9],
      ["g=h", "x=y", 10],
      ["i", "onetwo", 11],
      ["j", "back\\", 13],
      ["k", "l", 14],
      ["m", "#n", 15],
    ]);
  });
});

describe("settings", () => {
  it("are read beside CloudStack's own keys", () => {
    const settings = parseSettings(
      [
        "guid=x",
        "host=10.0.0.1@static",
        "workers=5",
        "rolling.maintenance.hooks.dir=/etc/hooks.d",
        "rolling.maintenance.service.executor.disabled=true",
        "slipway.controllers=c1:7443, [::1]:7443",
        "slipway.host=hv1",
        "slipway.labels=cluster=c1,rack=7=8",
        "slipway.state.dir=/srv/agent",
        "slipway.tls.key=/etc/key",
        "slipway.step.memory.max=2G",
        "slipway.step.tasks.max=512",
        "slipway.step.cpu.quota=150%",
        "slipway.probes.dir=/srv/probes",
        "slipway.platform=simulated",
        "slipway.platform.reserved.memory=2048",
        "slipway.simulated.world=/srv/world",
        "slipway.libvirt.uri=qemu+unix:///session",
        "slipway.migration.uri=qemu+tls://10.1.0.2/system",
        "slipway.migration.address=10.1.0.2",
        "slipway.shared.paths=ocean=/vm, lake = /srv/lake",
        "slipway.keepalive.ms=1000",
      ].join("\n"),
      "f",
    );
    expect(settings).toEqual({
      hooksDir: "/etc/hooks.d",
      hooksPush: false,
      probesDir: "/srv/probes",
      serviceExecutorDisabled: true,
      controllers: ["c1:7443", "[::1]:7443"],
      enrol: "",
      tokenFile: "",
      host: "hv1",
      labels: { cluster: "c1", rack: "7=8" },
      stateDir: "/srv/agent",
      tls: { ca: "/srv/agent/tls/ca.pem", certificate: "/srv/agent/tls/agent.pem", key: "/etc/key" },
      limits: { memoryMax: "2G", tasksMax: "512", cpuQuota: "150%" },
      platform: "simulated",
      simulatedWorld: "/srv/world",
      libvirtUri: "qemu+unix:///session",
      migration: { uri: "qemu+tls://10.1.0.2/system", address: "tcp://10.1.0.2" },
      reservedMemoryMib: 2048,
      sharedPaths: [
        { name: "ocean", path: "/vm" },
        { name: "lake", path: "/srv/lake" },
      ],
      keepaliveMs: 1000,
      keepaliveTimeoutMs: 2000,
    });
  });
  it("have defaults", () => {
    expect(parseSettings("slipway.host=hv1", "f")).toMatchObject({
      hooksDir: "",
      probesDir: "/etc/slipway/probes.d",
      serviceExecutorDisabled: false,
      controllers: [],
      stateDir: "/var/lib/slipway-agent",
      limits: {},
      platform: "none",
      simulatedWorld: "/var/lib/slipway-agent/world",
      libvirtUri: "qemu:///system",
      migration: { uri: "qemu+tls://hv1/system", address: "" },
      reservedMemoryMib: 1024,
      sharedPaths: [],
    });
  });
  it("name the migration address as libvirt wants it", () => {
    const address = (text: string) =>
      parseSettings(`slipway.host=hv1\nslipway.migration.address=${text}`, "f").migration.address;
    expect(["hv1-migration", "fd00::2"].map(address)).toEqual(["tcp://hv1-migration", "tcp://[fd00::2]"]);
  });
  it.each([
    ["\nslipway.controler=x:1", "f:2: unknown key slipway.controler; did you mean slipway.controllers?"],
    ["slipway.controllers=x", 'f:1: slipway.controllers is "x"; write host:port, an IPv6 address in brackets'],
    [
      "slipway.controllers=x:70000",
      'f:1: slipway.controllers is "x:70000"; write host:port, an IPv6 address in brackets',
    ],
    ["slipway.labels=a", 'f:1: slipway.labels is "a"; write name=value,name=value'],
    ["slipway.state.dir=var", 'f:1: slipway.state.dir is "var"; give an absolute path'],
    ["slipway.platform=kvm", 'f:1: slipway.platform is "kvm"; write one of none, libvirt, fleet, simulated'],
    ["slipway.platform.reserved.memory=5%", 'f:1: slipway.platform.reserved.memory is "5%"; give whole MiB'],
    ["slipway.libvirt.uri=-c", 'f:1: slipway.libvirt.uri is "-c"; write a URI such as qemu:///system'],
    ["slipway.migration.uri=hv1", /^f:1: slipway\.migration\.uri is "hv1"; write a URI such as qemu\+tls:/],
    ["slipway.migration.address=-x", /^f:1: slipway\.migration\.address is "-x"; give a host name or an IP/],
    ["slipway.migration.address=10.1.0.2:49152", /without a port$/],
    ["slipway.shared.paths=/vm", 'f:1: slipway.shared.paths is "/vm"; write name=/absolute/path,name=/absolute/path'],
    ["slipway.shared.paths=ocean=vm", /^f:1: slipway\.shared\.paths is "ocean=vm"/],
    ["slipway.probes.dir=probes", 'f:1: slipway.probes.dir is "probes"; give an absolute path'],
    ["slipway.simulated.world=world", /^f:1: slipway\.simulated\.world is "world"; give an absolute path/],
    ["slipway.hooks.push=yes", 'f:1: slipway.hooks.push is "yes"; write true or false'],
    [
      "slipway.step.memory.max=32M",
      `f:1: slipway.step.memory.max is "32M"; give bytes with K, M or G, at least 64M, or a percentage of the host's memory`,
    ],
    ["slipway.step.memory.max=many", /^f:1: slipway\.step\.memory\.max is "many"; give bytes/],
    ["slipway.step.tasks.max=8", 'f:1: slipway.step.tasks.max is "8"; give a number, at least 32'],
    ["slipway.step.cpu.quota=2", /^f:1: slipway\.step\.cpu\.quota is "2"; give a percentage/],
    ["slipway.keepalive.ms=1s", 'f:1: slipway.keepalive.ms is "1s"; give whole milliseconds, at least 10'],
    [
      "rolling.maintenance.service.executor.disabled=maybe",
      'f:1: rolling.maintenance.service.executor.disabled is "maybe"; write true or false',
    ],
    ["slipway.host=a/b", /^f:1: slipway\.host is "a\/b"; use letters/],
  ])("refuse %j in one line", (text, message) => {
    const attempt = () => parseSettings(text, "f");
    expect(attempt).toThrow(SlipwayError);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ exitStatus: 2 }));
  });
});
