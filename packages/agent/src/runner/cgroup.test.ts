import { describe, expect, it } from "vitest";
import { groupsOf, oomKillsIn } from "./cgroup.ts";

describe("control groups", () => {
  it("are found in either hierarchy", () => {
    expect(groupsOf("0::/system.slice/a.service\n").get("")).toBe("/system.slice/a.service");
    const hybrid = groupsOf("9:name=systemd:/system.slice/a:b.service\n4:cpu,memory:/m\n0::/u\n");
    expect([hybrid.get("name=systemd"), hybrid.get("memory"), hybrid.get("")]).toEqual([
      "/system.slice/a:b.service",
      "/m",
      "/u",
    ]);
  });
  it("count the kernel's kills in either format", () => {
    expect(oomKillsIn("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n")).toBe(2);
    expect(oomKillsIn("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")).toBe(1);
    expect(oomKillsIn("oom_kill_disable 0\nunder_oom 0\n")).toBe(0);
  });
});
