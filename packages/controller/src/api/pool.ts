import type { operatorWire } from "@slipway/shared/wire";
import type { PoolConfig } from "../domain/pool.ts";
import type { Reason } from "../domain/words.ts";
import type { PoolRecord } from "../store/pools.ts";
import type { ApiPorts } from "./deps.ts";
import { reasonView } from "./views.ts";

const HISTORY = 20;
/** A file's name in messages and in the history: one line, bounded. */
const MAX_NAME = 200;

/** Puts a pool file in force. Errors: `bad-input` with file and line for anything wrong in it, `out-of-space`. */
export function applyPool(ports: ApiPorts, request: operatorWire.ApplyPoolRequest, who: string) {
  const file = request.file.replace(/\p{Cc}+/gu, " ").slice(0, MAX_NAME) || "pool file";
  const { record, changed } = ports.keeper.apply(file, request.text, who, ports.clock.wallMs());
  if (changed) ports.coordinator.poolChanged();
  return { version: versionView(record), changed, warnings: warnings(ports, ports.keeper.pool).map(reasonView) };
}

export function getPool({ keeper }: ApiPorts) {
  return { text: keeper.text, history: keeper.history(HISTORY).map(versionView) };
}

function versionView({ number, who, atMs, file, sha256 }: Omit<PoolRecord, "text">) {
  return { number, who, atMs: BigInt(atMs), file, sha256 };
}

/** What is right by the rules of the file, and will not help as things are. */
function warnings({ registry }: ApiPorts, pool: PoolConfig): Reason[] {
  return pool.instances.flatMap(({ match, home }) =>
    home === undefined || registry.entry(home)
      ? []
      : [
          {
            rule: "unknown-home",
            subject: home,
            text: `instances ${match} have their home on ${home}, and there is no such host`,
            fix: "see slipway host list",
          },
        ],
  );
}
