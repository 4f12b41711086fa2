// How many bricks of a set have to stay up, as GlusterFS itself counts (xlators/cluster/afr and ec, glusterd-server-quorum.c).
import { fail } from "../answer.ts";
import { majority } from "../findings.ts";
import { digits } from "../xml.ts";
import type { Brick, Volume } from "./volumes.ts";

export interface Rule {
  readonly needed: number;
  /** Votes of each brick, in the order of the set. */
  readonly votes: readonly number[];
  /** Bricks of which one must stay up. */
  readonly oneOf: readonly string[];
}

/**
 * - distribute: every brick has data of its own, none may go.
 * - disperse k+r: k bricks, or `disperse.quorum-count` of them where that is more.
 * - replicate, quorum-type auto (the default from three on): more than half; of an even number exactly half will do if the first
 *   brick is among it, so the first has half a vote more (3 against 2).
 * - replicate, none (the default for two): no quorum, so writes go on with any brick and can diverge. More than half all the
 *   same; of two both.
 * - replicate, fixed: `cluster.quorum-count`.
 * - arbiter: as replicate, and one of the bricks that hold data.
 */
export function ruleOf(volume: Volume, bricks: readonly Brick[]): Rule {
  const n = bricks.length;
  const plain = bricks.map(() => 1);
  if (volume.kind === "distribute") return { needed: n, votes: plain, oneOf: [] };
  if (volume.kind === "disperse") {
    const wanted = volume.options.get("disperse.quorum-count") ?? "0";
    const needed = Math.max(n - volume.redundancy, digits(wanted, "disperse.quorum-count"));
    return { needed, votes: plain, oneOf: [] };
  }
  const hasArbiter = bricks.some((b) => b.isArbiter);
  const oneOf = hasArbiter ? bricks.filter((b) => !b.isArbiter).map((b) => b.name) : [];
  const type = volume.options.get("cluster.quorum-type") ?? (n > 2 ? "auto" : "none");
  switch (type) {
    case "auto":
      if (n % 2 === 1) return { needed: majority(n), votes: plain, oneOf };
      return { needed: n + 1, votes: bricks.map((_, i) => (i === 0 ? 3 : 2)), oneOf };
    case "none":
      return { needed: majority(n), votes: plain, oneOf };
    case "fixed": {
      const needed = digits(volume.options.get("cluster.quorum-count") ?? "", "cluster.quorum-count");
      if (needed < 1 || needed > n) fail(`volume ${volume.name}: cluster.quorum-count is ${needed} for ${n} bricks`);
      return { needed, votes: plain, oneOf };
    }
    default:
      return fail(`volume ${volume.name}: cluster.quorum-type ${type} is not known`);
  }
}

/**
 * How many glusterd have to be there lest the others kill their bricks; undefined where no started volume asks for it
 * (`cluster.server-quorum-type server`).
 */
export function serverQuorum(volumes: readonly Volume[], peers: number): number | undefined {
  const asking = volumes.filter((v) => {
    const type = v.options.get("cluster.server-quorum-type") ?? "none";
    if (type !== "none" && type !== "server") fail(`volume ${v.name}: cluster.server-quorum-type ${type} is not known`);
    return v.isStarted && type === "server";
  });
  if (asking.length === 0) return undefined;
  const ratios = asking.flatMap((v) => v.options.get("cluster.server-quorum-ratio") ?? []);
  const needs = ratios.map((ratio) => {
    const [, percent = ""] = /^(\d+(?:\.\d+)?)%?$/.exec(ratio) ?? fail(`cluster.server-quorum-ratio is ${ratio}`);
    return Math.ceil((peers * Number(percent)) / 100);
  });
  return Math.max(majority(peers), ...needs);
}
