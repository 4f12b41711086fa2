import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { expect, test } from "vitest";
import { journalLine } from "./log.ts";

const lines: string[] = [];
const log = pino(
  { name: "slipway-agent", level: "trace", base: { pid: 1 } },
  { write: (line: string) => void lines.push(journalLine(line)) },
);

test.each([
  ["trace", 7],
  ["debug", 7],
  ["info", 6],
  ["warn", 4],
  ["error", 3],
  ["fatal", 2],
] as const)("%s has syslog priority %i", (level, priority) => {
  lines.length = 0;
  log[level]("hv1: up => down");
  expect(lines).toEqual([`<${priority}>hv1: up => down\n`]);
});

test("fields follow the message, and a message never becomes two lines", () => {
  lines.length = 0;
  log.info({ run: "r1", seq: 3 }, "one\ntwo");
  expect(lines).toEqual(['<6>one\\ntwo {"run":"r1","seq":3}\n']);
});

test("a log that cannot be written ends nobody", () => {
  const full = openSync("/dev/full", "w");
  const program = `
    const { createLogger } = await import(${JSON.stringify(fileURLToPath(new URL("./log.ts", import.meta.url)))});
    const log = createLogger("test");
    for (let i = 0; i < 5000; i++) log.info("a line that finds no room: " + "x".repeat(100));
    console.log("alive");`;
  try {
    const { stdout, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", full],
      encoding: "utf8",
      timeout: 30_000,
      env: { ...process.env, JOURNAL_STREAM: "" },
    });
    expect([stdout, status]).toEqual(["alive\n", 0]);
  } finally {
    closeSync(full);
  }
});
