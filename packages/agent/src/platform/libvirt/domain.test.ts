import { describe, expect, test } from "vitest";
import { nodeset, parseDomain, parseMetadata } from "./domain.ts";
import { fixture } from "./testing.ts";

describe("a definition", () => {
  test("of a running guest is read", () => {
    expect(parseDomain(fixture("g1-live.xml"))).toEqual({
      uuid: "aaaaaaaa-0000-4000-8000-000000000001",
      name: "g1",
      vcpus: 1,
      memoryMib: 96,
      memoryMaxMib: 96,
      hugepageKib: 0,
      disks: [
        {
          target: "vda",
          kind: "file",
          device: "disk",
          source: "/var/lib/libvirt/images/g1.qcow2",
          pool: "",
          sharedAs: "",
          sizeMib: 0,
          readonly: false,
          shareable: false,
        },
        expect.objectContaining({ target: "sda", device: "cdrom", source: "", readonly: true }),
      ],
      devices: [],
      cpuMode: "custom",
      cpuModel: "qemu64",
      cpuFeatures: ["hypervisor", "lahf_lm"],
      cpuDisabled: [],
      machineType: "pc-i440fx-7.2",
      virtType: "qemu",
      nics: [{ kind: "bridge", source: "br0" }],
      guestAgent: false,
      metadata: { policy: "migrate", weight: "10", tier: "db", group: "ns", tags: "ssd & fast" },
      numaNodes: [],
    });
  });

  test("with everything that ties a guest to its host is read", () => {
    const odd = parseDomain(fixture("odd.xml"));
    expect(odd).toMatchObject({
      name: "odd & <name> é",
      vcpus: 2,
      memoryMib: 512,
      memoryMaxMib: 1024,
      hugepageKib: 2048,
      numaNodes: [0],
      cpuMode: "host-model",
      cpuModel: "",
      cpuFeatures: ["avx2"],
      cpuDisabled: ["vmx"],
      virtType: "kvm",
      metadata: { policy: "leave", home: "hv1", apart: "ns" },
      nics: [
        { kind: "network", source: "default" },
        { kind: "ovs", source: "ovsbr0" },
        { kind: "sriov", source: "0000:3b:02.1" },
      ],
    });
    expect(odd.devices).toEqual([
      { kind: "pci", name: "0000:3b:00.0" },
      { kind: "usb", name: "1234:beef" },
      { kind: "vgpu", name: "c2177883-f1bb-47f0-914d-32a22e3a8804" },
      { kind: "sriov", name: "0000:3b:02.1" },
      { kind: "tpm", name: "/dev/tpm0" },
    ]);
    expect(odd.disks).toMatchObject([
      { target: "vda", kind: "network", source: "rbd:vms/odd" },
      { target: "vdb", kind: "block", source: "/dev/mapper/lun1", shareable: true },
      { target: "vdc", kind: "volume", pool: "default", source: "v1.qcow2" },
    ]);
  });

  test("says whether a guest agent answers", () => {
    const xml = fixture("g1-live.xml");
    expect(parseDomain(xml.replace("state='disconnected'", "state='connected'")).guestAgent).toBe(true);
    expect(parseDomain(fixture("g3-live.xml")).guestAgent).toBe(false);
  });

  test("takes the operator's words from Slipway's namespace only, whatever its prefix is", () => {
    const domain = (inside: string) => `<domain><metadata>${inside}</metadata></domain>`;
    const ns = "https://slipway.dev/instance/1";
    expect(parseMetadata(domain(`<x:instance xmlns:x="${ns}" home="a&#10;b&#xe9;"/>`))).toEqual({ home: "a\nbé" });
    expect(parseMetadata(domain(`<instance xmlns="${ns}" policy='leave'/>`))).toEqual({ policy: "leave" });
    expect(parseMetadata(domain(`<slipway:instance xmlns:slipway="https://elsewhere/" policy="leave"/>`))).toEqual({});
    expect(parseMetadata("<domain/>")).toEqual({});
  });

  test("that is cut off, empty, foreign or meant to explode is refused", () => {
    const xml = fixture("g1-live.xml");
    for (let length = 0; length < xml.length - 12; length += 97)
      expect(() => parseDomain(xml.slice(0, length))).toThrow(/XML/);
    expect(() => parseDomain("Fehler: Domain nicht gefunden")).toThrow(/XML/);
    expect(() => parseDomain("<network><name>x</name></network>")).toThrow(/without <domain>/);
    expect(() => parseDomain(`<!DOCTYPE d [<!ENTITY a "aaaa">]>${xml}`)).toThrow(/document type/);
    expect(() => parseDomain(xml.replace(/<uuid>.*<\/uuid>/, ""))).toThrow(/UUID/);
    expect(() => parseDomain(xml.replace("<memory unit='KiB'>98304", "<memory unit='cups'>98304"))).toThrow(/memory/);
  });
});

test("node sets", () => {
  expect(nodeset("0-3,^1,8")).toEqual([0, 2, 3, 8]);
  expect(nodeset("nonsense")).toEqual([]);
});
