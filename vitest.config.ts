import { defineConfig } from "vitest/config";

// Tests read the sources of all packages; nothing has to be built for them except where real processes are started (e2e).
const resolve = { conditions: ["@slipway/source"] };
const ssr = { resolve: { conditions: ["@slipway/source"] } };

function tier(name: string, include: string[], testTimeout: number, hookTimeout = testTimeout, fileParallelism = true) {
  return { resolve, ssr, test: { name, include, testTimeout, hookTimeout, fileParallelism } };
}

export default defineConfig({
  test: {
    projects: [
      tier("unit", ["packages/*/src/**/*.test.ts", "test/architecture/**/*.test.ts"], 20_000),
      tier("simulation", ["test/simulation/**/*.test.ts"], 900_000),
      tier("planner", ["test/planner/**/*.test.ts"], 300_000),
      tier("scenarios", ["test/scenarios/**/*.test.ts"], 60_000),
      tier("e2e", ["test/e2e/**/*.test.ts"], 600_000, 120_000, false),
      // Builds the Debian packages; skipped without dpkg-deb.
      tier("packages", ["test/packages/**/*.test.ts"], 300_000, 300_000),
      // Real systemd hosts; skipped where the machine cannot have them.
      tier("lab", ["test/lab/**/*.test.ts"], 600_000, 300_000, false),
    ],
  },
});
