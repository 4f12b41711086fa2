import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

// Tests read the sources of all packages; nothing has to be built for them except where real processes are started (e2e).
const resolve = { conditions: ["@slipway/source"] };
const ssr = { resolve: { conditions: ["@slipway/source"] } };

/** Files at a time. Vitest's own default is one on two processors, and the process that it keeps one for is mostly idle. */
const maxWorkers = Math.max(2, availableParallelism() - 1);

/** The tiers of group 0 come first. */
function tier(name: string, include: string[], testTimeout: number, more: object = {}) {
  return { resolve, ssr, test: { name, include, testTimeout, hookTimeout: testTimeout, maxWorkers, ...more } };
}

/** Real processes wait more than they work: two files at a time, however many processors there are. */
const real = { maxWorkers: 2, sequence: { groupOrder: 1 } };

export default defineConfig({
  test: {
    projects: [
      tier("unit", ["packages/*/src/**/*.test.ts", "test/architecture/**/*.test.ts"], 20_000),
      tier("simulation", ["test/simulation/**/*.test.ts"], 900_000),
      tier("planner", ["test/planner/**/*.test.ts"], 300_000),
      tier("scenarios", ["test/scenarios/**/*.test.ts"], 60_000),
      // Builds the Debian packages; skipped without dpkg-deb.
      tier("packages", ["test/packages/**/*.test.ts"], 300_000),
      tier("e2e", ["test/e2e/**/*.test.ts"], 600_000, { hookTimeout: 120_000, ...real }),
      // Real systemd hosts; skipped where the machine cannot have them.
      tier("lab", ["test/lab/**/*.test.ts"], 600_000, {
        ...{ hookTimeout: 300_000, globalSetup: "test/lab/prepare.ts" },
        ...real,
      }),
    ],
  },
});
