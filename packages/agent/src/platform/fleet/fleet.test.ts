import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Answer } from "../../probes/answer.ts";
import { type Recording, readRecording } from "../../probes/testing/recording.ts";
import { instancesOf, uuidOf } from "./instances.ts";
import type { Machinery } from "./local.ts";
import { FleetReader, problemOf } from "./reader.ts";
import { readRequirements } from "./unit-file.ts";

const ids = {
  worker1: "5008552852624d72a68626cb8d4acf5d",
  worker2: "cb23e1795cfc4c97889d2bb6beb13649",
  top1: "e6afb8d6f20e4cecbe3db3b2911cf6f9",
};

function recorded(situation: string): Map<string, Answer> {
  const file = fileURLToPath(new URL(`recorded/${situation}.txt`, import.meta.url));
  return new Map(readRecording(readFileSync(file, "utf8")));
}

/** A machine that answers from a recording; which of its units are loaded shows in what systemctl was asked. */
function machinery(recording: Recording, machine: string): Machinery & { readonly asked: string[] } {
  const show = [...recording.keys()].find((asked) => asked.startsWith("systemctl")) ?? "";
  const asked: string[] = [];
  return {
    asked,
    machineId: () => Promise.resolve(`${machine}\n`),
    loaded: () => Promise.resolve(show.split(" ").slice(5)),
    run: (argv) => {
      asked.push(argv.join(" "));
      const unknown: Answer = { stdout: "", stderr: "", timedOut: false, problem: `not recorded: ${argv.join(" ")}` };
      return Promise.resolve(recording.get(argv.join(" ")) ?? unknown);
    },
  };
}

const read = async (recording: Recording, machine: string) =>
  instancesOf(await new FleetReader(machinery(recording, machine)).read());

/** The recording with the answers to questions that hold `what` changed. */
function changed(situation: string, what: string, change: (answer: Answer) => Partial<Answer>): Recording {
  const recording = recorded(situation);
  for (const [asked, answer] of recording)
    if (asked.includes(what)) recording.set(asked, { ...answer, ...change(answer) });
  return recording;
}
const replaced = (what: string, from: string | RegExp, to: string, situation = "worker1") =>
  changed(situation, what, ({ stdout }) => ({ stdout: stdout.replace(from, to) }));

describe("the units of a machine, as fleet 1.0 prints them", () => {
  it("are its instances, with what their files say", async () => {
    const found = await read(recorded("worker1"), ids.worker1);
    expect(found.map(({ name, state, pinned, metadata }) => ({ name, state, pinned, metadata }))).toEqual([
      {
        name: "pcocc-vm-batch1.service",
        state: "running",
        pinned: "MachineMetadata=name=worker1",
        metadata: { "default-policy": "failover", weight: "8000", "fleet.machines": `fleet://${ids.worker1}` },
      },
      {
        name: "pcocc-vm-ns3.service",
        state: "running",
        pinned: "",
        // No weight is no mistake.
        metadata: { "default-policy": "failover" },
      },
    ]);
    expect(found.map(({ uuid }) => uuid)).toEqual([uuidOf("pcocc-vm-batch1.service"), uuidOf("pcocc-vm-ns3.service")]);
  });

  it("have UUIDs that never change", () => {
    expect(uuidOf("pcocc-vm-ns3.service")).toBe("17e7ab44-c170-5597-9aa9-0c70484f871b");
    expect(uuidOf("pcocc-vm-ns3.service", ids.top1)).not.toBe(uuidOf("pcocc-vm-ns3.service"));
  });

  it("on another machine are others, though one name is part of the other", async () => {
    const found = await read(recorded("top1-without-worker1"), ids.top1);
    expect(found.map(({ name }) => name)).toEqual(["pcocc-vm-admin2.service", "pcocc-vm-ns2.service"]);
    expect(found[0]?.metadata).toMatchObject({ weight: "16000", "fleet.conflicts": "pcocc-vm-admin1.service" });
  });

  it("are off when they were stopped", async () => {
    const found = await read(recorded("worker2-stopped-admin1"), ids.worker2);
    expect(found.map(({ name, state, stateReason, job }) => [name, state, stateReason, job])).toEqual([
      ["pcocc-vm-admin1.service", "shutoff", "dead", ""],
      ["pcocc-vm-ns1.service", "running", "running", ""],
    ]);
  });

  it("are none where fleetd is stopped, and fleetctl is not asked: its socket would start it", async () => {
    const stopped = machinery(recorded("worker1-stopped"), ids.worker1);
    const picture = await new FleetReader(stopped).read();
    expect([picture.isRunning, instancesOf(picture)]).toEqual([false, []]);
    expect(stopped.asked.filter((asked) => asked.startsWith("fleetctl"))).toEqual([]);
  });

  it("that still run under a daemon that is stopped are here", async () => {
    const recording = replaced("systemctl", "ActiveState=active", "ActiveState=inactive");
    const found = await read(recording, ids.worker1);
    expect(found.map(({ name, state, job }) => [name, state, job])).toEqual([
      ["pcocc-vm-batch1.service", "running", ""],
      ["pcocc-vm-ns3.service", "running", ""],
    ]);
  });

  it.each<[string, string, RegExp, string, unknown]>([
    ["failed", "systemctl", /(ns3.*\n.*\n)ActiveState=active/, "$1ActiveState=failed", { state: "crashed" }],
    [
      "starting",
      "systemctl",
      /(ns3.*\n.*\n)ActiveState=active/,
      "$1ActiveState=activating",
      { state: "running", job: "starting" },
    ],
    [
      "to be stopped",
      "list-unit-files",
      /(ns3\S+\t\S+\t)launched/,
      "$1inactive",
      { state: "running", job: "stopping" },
    ],
    [
      "ended by itself",
      "systemctl",
      /(ns3.*\n.*\n)ActiveState=active/,
      "$1ActiveState=inactive",
      { state: "shutoff", job: "" },
    ],
    [
      "in a state unheard of",
      "systemctl",
      /(ns3.*\n.*\n)ActiveState=active/,
      "$1ActiveState=refreshing",
      { state: "unknown" },
    ],
    [
      "running here and scheduled elsewhere",
      "list-unit-files",
      /(ns3.*)5008552852624d72a68626cb8d4acf5d/,
      `$1${ids.top1}`,
      { state: "running" },
    ],
  ])("are told when one is %s", async (_name, what, from, to, expected) => {
    const found = await read(replaced(what, from, to), ids.worker1);
    expect(found.find(({ name }) => name.includes("ns3"))).toMatchObject(expected as object);
  });

  it("are global with a UUID for each machine, and pinned", async () => {
    const recording = replaced("list-unit-files", /(ns3.*launched)\tlaunched\t\S+\tfalse/, "$1\t-\tglobal\ttrue");
    const found = await read(recording, ids.worker1);
    expect(found.find(({ name }) => name.includes("ns3"))).toMatchObject({
      uuid: uuidOf("pcocc-vm-ns3.service", ids.worker1),
      pinned: "Global=true",
      metadata: { "fleet.global": "true" },
    });
  });

  it("are asked for their files again only when these change", async () => {
    const asked = machinery(recorded("worker1"), ids.worker1);
    const reader = new FleetReader(asked);
    await reader.read();
    await reader.read();
    expect(asked.asked.filter((one) => one.includes(" cat "))).toHaveLength(2);
  });
});

describe("what cannot be read", () => {
  const problem = async (recording: Recording, machine = ids.worker1) =>
    read(recording, machine).then(
      (found) => `${found.length} instances`,
      (thrown: unknown) => problemOf(thrown),
    );

  it.each<[string, Recording, RegExp]>([
    [
      "a field that this build does not know",
      changed("worker1", "list-machines", () => ({
        stdout: "",
        stderr: 'Invalid key in output format: "ip"\n',
        exitCode: 1,
      })),
      /ended with 1 \(Invalid key in output format: "ip"\)/,
    ],
    ["no answer", changed("worker1", "list-units", () => ({ timedOut: true })), /list-units: no answer in time/],
    [
      "nothing at all",
      changed("worker1", "list-unit-files", () => ({ stdout: "" })),
      /list-unit-files: nothing was answered/,
    ],
    [
      "a unit file that is not all there",
      changed("worker1", "cat pcocc-vm-ns3", () => ({ stdout: "" })),
      /cat pcocc-vm-ns3.service: the answer is not what fleet lists/,
    ],
    ["other headings", replaced("list-units", "MACHINE", "HOSTNAME"), /unknown headings "UNIT,HOSTNAME,ACTIVE,SUB"/],
    ["a unit twice", replaced("list-unit-files", "ns1", "ns2"), /pcocc-vm-ns2.service is there twice/],
    ["a name that is an option", replaced("list-unit-files", "pcocc-vm-ns1", "--no-pager"), /unknown unit "--no-pager/],
    [
      "this machine not among fleet's",
      replaced("list-machines", /5008.*\n/, ""),
      /does not count this machine \(5008\w+\)/,
    ],
    [
      "a host without fleet",
      changed("worker1-stopped", "systemctl", ({ stdout }) => ({ stdout: stdout.replace("=loaded", "=not-found") })),
      /this host has no fleet.service/,
    ],
    [
      "a daemon that is just stopping",
      changed("worker1-stopped", "systemctl", ({ stdout }) => ({
        stdout: stdout.replace("=inactive", "=deactivating"),
      })),
      /fleet.service is deactivating/,
    ],
  ])("is a problem, never an empty list: %s", async (_name, recording, text) => {
    expect(await problem(recording)).toMatch(text);
  });

  it("is a problem when a list is cut anywhere within a line", async () => {
    for (const what of ["list-machines", "list-unit-files", "list-units", "systemctl"]) {
      const text = [...recorded("worker1")].find(([asked]) => asked.includes(what))?.[1].stdout ?? "";
      // Of systemctl's the last line says nothing that counts.
      const end = what === "systemctl" ? text.lastIndexOf("\n", text.length - 2) : text.trimEnd().length;
      for (let at = 0; at < end; at += 7) {
        if (text[at - 1] === "\n" || text[at] === "\n") continue;
        const recording = changed("worker1", what, () => ({ stdout: text.slice(0, at) }));
        expect(await problem(recording), `${what} cut at ${at}`).not.toMatch(/instances$/);
      }
    }
  });

  it("does not hide what systemd runs here, when a line is lost", async () => {
    for (const what of ["list-machines", "list-unit-files", "list-units", "systemctl"]) {
      const lines = ([...recorded("worker1")].find(([asked]) => asked.includes(what))?.[1].stdout ?? "").split("\n");
      for (const n of lines.keys()) {
        const recording = changed("worker1", what, () => ({ stdout: lines.toSpliced(n, 1).join("\n") }));
        const told = await problem(recording);
        if (/instances$/.test(told)) expect(told, `${what} without line ${n}`).toBe("2 instances");
      }
    }
  });

  it("is a problem with a machine id that is none", async () => {
    expect(await problem(recorded("worker1"), "uninitialized")).toMatch(/machine-id holds "uninitialized"/);
  });
});

describe("a unit's file", () => {
  const requirements = (text: string, unit = "vm@7.service") => {
    const answer = { stdout: text, stderr: "", exitCode: 0, timedOut: false, problem: "" };
    return readRequirements(answer, unit, createHash("sha1").update(text).digest("hex"));
  };

  it("may say several things at once, in old words and with parts of its name", () => {
    const found = requirements(
      '[X-Fleet]\nMachineMetadata="role=top" "role=worker"\nX-ConditionMachineMetadata=rack=r1\nConflicts=%p@*.service  other.service\n' +
        "X-Conflicts=%n-x.service\nMachineOf=disk@%i.service\n# Weight=1\nWeight=5\n[Install]\nWeight=9\n",
    );
    expect([...found.metadata]).toEqual([
      ["role", ["top", "worker"]],
      ["rack", ["r1"]],
    ]);
    expect(found.conflicts).toEqual(["vm@*.service", "other.service", "vm@7.service-x.service"]);
    expect([found.machineOf, found.weight]).toEqual([["disk@7.service"], "5"]);
  });
});
