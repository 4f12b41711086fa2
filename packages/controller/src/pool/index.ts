export type { PoolConfig } from "../domain/pool.ts";
export { parsePool, readPool } from "./pool.ts";
export type { Problem } from "./reader.ts";
