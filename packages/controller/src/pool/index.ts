// What the command line needs to check a pool file without a controller: pure, and free of native modules.
export { readPool } from "./pool.ts";
export type { Problem } from "./reader.ts";
