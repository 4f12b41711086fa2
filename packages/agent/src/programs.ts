import { fileURLToPath } from "node:url";

// This module stays beside main.ts: in a package, main.ts and all it imports are one file at that place, and the programs
// that are processes of their own keep their places below it.
const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** The program that runs a hook; its arguments are in runner/main.ts. */
export const RUNNER = fileURLToPath(new URL(`runner/main.${extension}`, import.meta.url));
