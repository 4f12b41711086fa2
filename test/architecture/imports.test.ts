import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The folders in which decisions are made: no Node module, no clock, no chance, no waiting. */
const pure = [
  "packages/controller/src/domain",
  "packages/controller/src/planner",
  "packages/controller/src/placement",
  "packages/controller/src/engine",
  "packages/controller/src/coordinator",
  "packages/agent/src/steps",
];

/** Libraries that the pure folders may use: they compute and nothing else, so long as what reads a clock in them is left alone. */
const pureLibraries = ["@slipway/shared", "temporal-polyfill"];

/** What each package may import of the others. */
const mayImport: Record<string, readonly string[]> = {
  shared: [],
  agent: ["@slipway/shared"],
  controller: ["@slipway/shared"],
  // A pool file is checked without a controller, by the controller's own reader, which needs nothing native. Plans are played on the
  // simulator, which is loaded when it is needed.
  cli: ["@slipway/shared", "@slipway/controller/pool", "@slipway/simulator"],
  simulator: ["@slipway/shared", "@slipway/agent/internals", "@slipway/controller/internals"],
};

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && e.name.endsWith(".ts") && !e.name.includes(".test"))
    .map((e) => relative(root, join(e.parentPath, e.name)))
    .filter((f) => !f.includes("/gen/"));
}

function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)/g)].map(
    (m) => m[1] ?? m[2] ?? "",
  );
}

/** Impurities of a source text, as far as they can be seen in it. */
function impurities(file: string, text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
  const found = [
    ...code.matchAll(
      /\bDate\.now\b|\bTemporal\.Now\b|\bnew Date\(\)|\bMath\.random\b|\bset(?:Timeout|Interval|Immediate)\b|\bprocess\.|\bperformance\.|\bawait\b/g,
    ),
  ].map((m) => m[0]);
  for (const name of importsOf(code)) {
    const inside =
      name.startsWith(".") &&
      pure.some((p) => !relative(p, relative(root, resolve(root, dirname(file), name))).startsWith(".."));
    if (!inside && !pureLibraries.includes(name)) found.push(`import "${name}"`);
  }
  return found;
}

describe("the pure core", () => {
  test.each(pure)("%s has no way to the outside", (folder) => {
    const files = sources(folder);
    expect(files.length).toBeGreaterThan(0);
    const bad = files
      .map((f) => [f, impurities(f, readFileSync(join(root, f), "utf8"))] as const)
      .filter(([, i]) => i.length > 0);
    expect(Object.fromEntries(bad)).toEqual({});
  });

  test("the check sees what it should", () => {
    const file = "packages/controller/src/engine/x.ts";
    expect(impurities(file, 'import { readFileSync } from "node:fs";\nexport const t = Date.now();')).toEqual([
      "Date.now",
      'import "node:fs"',
    ]);
    expect(impurities(file, 'import { Temporal } from "temporal-polyfill";\nTemporal.Now.instant();')).toEqual([
      "Temporal.Now",
    ]);
    expect(impurities(file, 'import { x } from "../store/sqlite.ts";')).toEqual(['import "../store/sqlite.ts"']);
    expect(impurities(file, 'import { x } from "../domain/run.ts";\n// Date.now() in words\n')).toEqual([]);
  });
});

describe("packages", () => {
  test.each(Object.entries(mayImport))("%s imports of its siblings only what it may", (name, allowed) => {
    const bad = sources(`packages/${name}/src`).flatMap((f) =>
      importsOf(readFileSync(join(root, f), "utf8"))
        .filter((i) => i.startsWith("@slipway/") || i.startsWith("slipway"))
        .filter((i) => !allowed.some((a) => i === a || i.startsWith(`${a}/`)))
        .map((i) => `${f}: ${i}`),
    );
    expect(bad).toEqual([]);
  });
});

/** What a program loads with a module, through everything that it imports at once: sources and libraries. */
function loadedWith(entry: string): { files: string[]; libraries: string[] } {
  const seen = new Set<string>();
  const libraries = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const code = readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
    for (const [, clause = "", name = ""] of code.matchAll(
      /(?:^|\n)\s*(?:import|export)\b([^;"]*?\bfrom\s+|\s*)"([^"]+)"/g,
    )) {
      if (/^\s*type\s*(\{|\w+\s+from)/.test(clause)) continue;
      const own = /^@slipway\/([a-z]+)(?:\/(.+))?$/.exec(name);
      if (name.startsWith(".")) visit(relative(root, resolve(root, dirname(file), name)));
      else if (own) visit(sourceOf(own[1] ?? "", own[2] ?? ""));
      else libraries.add(name);
    }
  };
  visit(entry);
  return { files: [...seen], libraries: [...libraries].sort() };
}

/** The source that a subpath export of a package stands for. */
function sourceOf(name: string, subpath: string): string {
  const { exports } = JSON.parse(readFileSync(join(root, `packages/${name}/package.json`), "utf8"));
  return join(`packages/${name}`, exports[subpath === "" ? "." : `./${subpath}`]["@slipway/source"]);
}

describe("the simulator", () => {
  test("needs nothing native and no connection, so that the command can bring it", () => {
    const { libraries } = loadedWith("packages/simulator/src/index.ts");
    expect(libraries).toContain("@bufbuild/protobuf");
    expect(libraries.filter((l) => /sqlite|grpc|x509|zod|pino/.test(l))).toEqual([]);
  });
  test("comes with the command when a plan is played, and not before", () => {
    const { files } = loadedWith("packages/cli/src/main.ts");
    expect(files).toContain("packages/cli/src/commands/simulate.ts");
    expect(files.filter((f) => f.startsWith("packages/simulator/"))).toEqual([]);
  });
  test("would be found out", () => {
    expect(loadedWith("packages/controller/src/index.ts").libraries).toContain("better-sqlite3");
  });
});
