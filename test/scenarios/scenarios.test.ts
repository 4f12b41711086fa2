import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { play } from "./scenario.ts";

const here = import.meta.dirname;
const folders = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();

describe("scenario", () => {
  test.each(folders)("%s", async (name) => {
    const folder = join(here, name);
    const { text, violations } = play(folder);
    expect(violations).toEqual([]);
    expect(existsSync(join(folder, "README.md"))).toBe(true);
    await expect(text).toMatchFileSnapshot(join(folder, "log.expect"));
  });
});

test("there are at least 40 scenarios", () => {
  expect(folders.length).toBeGreaterThanOrEqual(40);
});
