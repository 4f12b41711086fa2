// What `slipway-agent doctor` looks at. Each probe asks one thing, within a deadline, and changes nothing.
import { execFile } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { SlipwayError } from "@slipway/shared";
import type { TlsFiles } from "@slipway/shared/grpc";
import { openSqliteJournal } from "../../journal/sqlite.ts";
import type { PathFacts, Reach } from "./checks.ts";

const COMMAND_DEADLINE_MS = 5_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** Name in every controller's certificate, whatever its address is. */
const CONTROLLER = "controller.slipway.internal";

/** Standard output of a command; undefined when it cannot be run or does not answer. */
export function output(program: string, args: readonly string[]): Promise<string | undefined> {
  const options = {
    timeout: COMMAND_DEADLINE_MS,
    maxBuffer: MAX_ANSWER_BYTES,
    encoding: "utf8",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
  } as const;
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout) => resolve(error === null ? stdout : undefined));
  });
}

export function pathFacts(path: string): PathFacts {
  try {
    const { uid, mode } = statSync(path);
    return { path, uid, mode };
  } catch (thrown) {
    return { path, missing: (thrown as NodeJS.ErrnoException).code ?? "unknown", uid: -1, mode: 0 };
  }
}

export async function disk(path: string): Promise<{ freeBytes: number; type: number } | undefined> {
  try {
    const { bavail, bsize, type } = await statfs(path);
    return { freeBytes: bavail * bsize, type };
  } catch {
    return undefined;
  }
}

/** Whether the journal opens; one that is not there is not made. */
export function journal(path: string): "absent" | "open" | "in-use" | { readonly problem: string } {
  if (!existsSync(path)) return "absent";
  try {
    openSqliteJournal(path).close();
    return "open";
  } catch (thrown) {
    const error = SlipwayError.from(thrown);
    return error.code === "conflict" ? "in-use" : { problem: error.message };
  }
}

export function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

/** TCP, then a TLS handshake; without `tls` (not enrolled yet) whoever answers is taken. */
export function reach(address: string, tls: TlsFiles | undefined, deadlineMs: number): Promise<Reach> {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  return new Promise((resolve) => {
    let stage: "TCP" | "TLS" = "TCP";
    let socket: Socket | undefined;
    const end = (result: Reach) => {
      clearTimeout(timer);
      socket?.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end({ state: "timeout", stage, deadlineMs }), deadlineMs);
    const failed = (error: NodeJS.ErrnoException) => {
      // Several addresses of one name: the first one's reason will do.
      const first = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error;
      end({ state: "error", code: first.code ?? error.code ?? "unknown", text: first.message });
    };
    const plain = connectTcp({ host, port: Number(address.slice(at + 1)) }, () => {
      stage = "TLS";
      const trust =
        tls === undefined ? { rejectUnauthorized: false } : { ca: tls.ca, cert: tls.certificate, key: tls.key };
      const secure = connectTls({ socket: plain, servername: CONTROLLER, ALPNProtocols: ["h2"], ...trust }, () =>
        end({ state: "ok", protocol: secure.getProtocol() ?? "TLS" }),
      );
      secure.on("error", failed);
    });
    socket = plain;
    plain.on("error", failed);
  });
}
