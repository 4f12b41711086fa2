import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "@slipway/shared";
import {
  type CallBounds,
  type Client,
  connect,
  openServerStream,
  type UnaryClient,
  unaryClient,
} from "@slipway/shared/grpc";
import { operatorWire } from "@slipway/shared/wire";
import type { CliConfig } from "./config.ts";
import { wrongUse } from "./io.ts";

export type Rpc = UnaryClient<typeof operatorWire.OperatorService>;
export type Watch = ReturnType<
  typeof openServerStream<typeof operatorWire.WatchRunRequestSchema, typeof operatorWire.WatchRunResponseSchema>
>;

/** Deadline of every call but those that compute a whole plan. */
const CALL_MS = 10_000;
/** Plan and StartRun look at every host of the scope. */
const PLAN_MS = 30_000;

/** A controller that is being restarted is back within seconds: for so long a refused connection is tried again ... */
const PATIENCE_MS = 6_000;
/** ... so often. */
const PAUSE_MS = 200;

/** A second call would find the work of the first and refuse. */
const ONCE: readonly (keyof Rpc)[] = ["controlHost", "removeHost"];

/**
 * May the call be made again? A refused connection means that nothing was delivered. After a connection that broke in the
 * middle only what may happen twice is repeated: reads, starts (they carry a request id) and commands that set a state.
 */
function mayRepeat(method: keyof Rpc, error: SlipwayError): boolean {
  if (/certificate|SSL|TLS/i.test(error.message)) return false;
  return error.message.includes("ECONNREFUSED") || !ONCE.includes(method);
}

/** Calls to the first controller of the configuration that answers; all of them know the same. */
export class OperatorClient {
  readonly config: CliConfig;
  #at = 0;
  #channel: Client | undefined;

  constructor(config: CliConfig) {
    this.config = config;
  }

  get address(): string {
    return this.config.controllers[this.#at] ?? "";
  }

  #open(): Client {
    this.#channel ??= connect(this.address, this.config.tls);
    return this.#channel;
  }

  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }

  /** Turns to the next controller of the list; with one only, a new connection to it. */
  next(): void {
    this.close();
    this.#at = (this.#at + 1) % this.config.controllers.length;
  }

  /** One unary call with a deadline; a controller that cannot be reached hands over to the next one of the list. */
  async call<K extends keyof Rpc>(
    method: K,
    request: Parameters<Rpc[K]>[0],
    bounds: Partial<CallBounds> = {},
  ): Promise<Awaited<ReturnType<Rpc[K]>>> {
    const deadlineMs = bounds.deadlineMs ?? (method === "plan" || method === "startRun" ? PLAN_MS : CALL_MS);
    const giveUpAt = performance.now() + PATIENCE_MS;
    let failures = await this.#tryAll(method, request, { ...bounds, deadlineMs });
    while (
      Array.isArray(failures) &&
      failures.every((error) => mayRepeat(method, error)) &&
      performance.now() < giveUpAt
    ) {
      await sleep(PAUSE_MS);
      failures = await this.#tryAll(method, request, { ...bounds, deadlineMs });
    }
    if (!Array.isArray(failures)) return failures.answer;
    const last = failures.at(-1);
    if (failures.length > 1)
      throw new SlipwayError(
        "unreachable",
        `none of the controllers ${this.config.controllers.join(", ")} can be reached`,
        {
          fix: `check that one of them runs and "controller" in ${this.config.file}`,
          cause: last,
        },
      );
    throw last ?? new SlipwayError("internal", "no controller is configured");
  }

  /** One try with each controller of the list: the answer, or why none of them could be reached. */
  async #tryAll<K extends keyof Rpc>(
    method: K,
    request: Parameters<Rpc[K]>[0],
    bounds: CallBounds,
  ): Promise<{ answer: Awaited<ReturnType<Rpc[K]>> } | SlipwayError[]> {
    const failures: SlipwayError[] = [];
    for (let tried = 0; tried < this.config.controllers.length; tried++) {
      const rpc = unaryClient(this.#open(), operatorWire.OperatorService);
      const invoke = rpc[method] as (request: unknown, bounds: CallBounds) => Promise<unknown>;
      try {
        return { answer: (await invoke(request, bounds)) as Awaited<ReturnType<Rpc[K]>> };
      } catch (thrown) {
        const error = this.explain(SlipwayError.from(thrown), bounds.deadlineMs);
        if (error.code !== "unreachable") throw error;
        failures.push(error);
        this.next();
      }
    }
    return failures;
  }

  /** Opens the stream of a run's events on the current connection. */
  watch(run: string, afterSeq: bigint): Watch {
    return openServerStream(this.#open(), operatorWire.OperatorService.method.watchRun, { run, afterSeq });
  }

  /** Says of a failed connection which address and which file it is about. */
  explain(error: SlipwayError, deadlineMs = CALL_MS): SlipwayError {
    const fix = `check that it runs and "controller" in ${this.config.file}`;
    if (error.code === "unreachable") {
      const reason = (/Last error: (.*?)(?:\. Resolution note.*)?$/.exec(error.message)?.[1] ?? error.message).trim();
      const certificate = /certificate|SSL|TLS/i.test(reason);
      return new SlipwayError("unreachable", `controller ${this.address}: cannot be reached (${reason})`, {
        fix: certificate ? `check "ca" and "certificate" in ${this.config.file}: they must be of this controller` : fix,
        cause: error,
      });
    }
    if (error.code === "timed-out" && /deadline/i.test(error.message))
      return new SlipwayError("timed-out", `controller ${this.address}: no answer within ${deadlineMs / 1000} s`, {
        fix,
        cause: error,
      });
    return error;
  }

  /**
   * Full id of a run that the operator named by id, by the start of its id, or as `last`.
   * Errors: `not-found`, or `bad-input` when several runs begin so.
   */
  async resolveRun(text: string): Promise<string> {
    if (text === "last") {
      const { runs } = await this.call("listRuns", { limit: 1 });
      const newest = runs[0];
      if (newest === undefined)
        throw new SlipwayError("not-found", "run last: there is no run yet", { fix: "start one with `slipway start`" });
      return newest.run;
    }
    try {
      const { run } = await this.call("getRun", { run: text });
      return run?.run || text;
    } catch (thrown) {
      const error = SlipwayError.from(thrown);
      if (error.code !== "not-found" || text === "") throw error;
      const { runs } = await this.call("listRuns", { limit: 1000 });
      const found = runs.map(({ run }) => run).filter((run) => run.startsWith(text));
      if (found.length > 1)
        throw wrongUse(
          `run ${text}: ${found.length} runs begin so (${found.slice(0, 4).join(", ")}${found.length > 4 ? ", ..." : ""})`,
          "give more of its id",
        );
      if (found[0] === undefined) throw error;
      return found[0];
    }
  }
}

/** Whether the request cannot have reached a controller, so that repeating it is pointless rather than dangerous. */
export function neverSent(error: SlipwayError): boolean {
  const cause = error.cause instanceof Error ? error.cause.message : "";
  return (
    error.code === "unreachable" &&
    /No connection established|Failed to connect|ECONNREFUSED|none of the/.test(`${error.message} ${cause}`)
  );
}
