import { describe, expect, test } from "vitest";
import { parseBaseline, parseCapabilities, parseDomainCapabilities, parsePool } from "./host-xml.ts";
import { fixture } from "./testing.ts";

describe("pools", () => {
  const pool = (type: string, source: string, path = "/p") =>
    parsePool(
      `<pool type='${type}'><name>p</name><source>${source}</source><target><path>${path}</path></target></pool>`,
    );
  test("of the network are called the same by every host that has them", () => {
    expect(pool("netfs", "<host name='nas'/><dir path='/vm'/>").identity).toBe("netfs nas:/vm");
    expect(pool("rbd", "<name>vms</name><host name='b' port='1'/><host name='a'/>").identity).toBe("rbd a,b:1/vms");
    expect(pool("rbd", "<name>vms</name><host name='a'/><host name='b' port='1'/>").identity).toBe("rbd a,b:1/vms");
    expect(pool("iscsi", "<host name='san'/><device path='iqn.2026:x'/>").identity).toBe("iscsi san/iqn.2026:x");
    expect(pool("gluster", "<host name='g1'/><name>v</name>").identity).toBe("gluster g1/v");
  });
  test("of this host alone, or with half a source, are nobody else's", () => {
    for (const type of ["dir", "fs", "logical", "disk", "zfs", "mpath", "scsi", "netfs", "iscsi", "rbd", "ufo"])
      expect(pool(type, "").identity).toBe("");
  });
  test("have a size", () => {
    expect(parsePool(fixture("pool-default.xml"))).toMatchObject({ name: "default", type: "dir", freeMib: 234_704 });
  });
});

test("an emulating host is read, too", () => {
  const { models, features } = parseDomainCapabilities(fixture("domcapabilities-qemu.xml"));
  expect(models).toEqual(expect.arrayContaining(["qemu64", "Westmere"]));
  expect(models).not.toContain("Snowridge");
  expect(features).toContain("clwb");
  expect(features).not.toContain("rdseed");
  expect(parseBaseline(fixture("baseline-qemu.xml"))).toContain("avx2");
});

test("what is cut off or of another kind is refused", () => {
  const xml = fixture("capabilities.xml");
  for (let length = 0; length < xml.length - 20; length += 501)
    expect(() => parseCapabilities(xml.slice(0, length))).toThrow(/XML/);
  expect(() => parseDomainCapabilities("")).toThrow(/XML/);
  expect(() => parseBaseline("<pool/>")).toThrow(/without <cpu>/);
  expect(() => parsePool(fixture("odd.xml"))).toThrow(/without <pool>/);
});
