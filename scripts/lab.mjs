// `npm run lab -- ...`: real systemd hosts on this machine. The bundled Node 24 runs the TypeScript as it is.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { env, node, prepare, root } from "./prepare.mjs";

if (!existsSync(node)) prepare();
const { status } = spawnSync(node, [join(root, "test/lab/lib/main.ts"), ...process.argv.slice(2)], {
  stdio: "inherit",
  env,
});
process.exit(status ?? 1);
