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
