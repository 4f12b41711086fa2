import { readFileSync } from "node:fs";
import { request as plain } from "node:http";
import { request as secure } from "node:https";
import type { Answer } from "./answer.ts";
import type { HttpRequest } from "./probe.ts";

const MAX_BYTES = 4 * 1024 ** 2;

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * One request, without redirects and proxies. The server's certificate is always checked, against the system's authorities or
 * those of `tls.ca`. Never throws.
 */
export function sendRequest(request: HttpRequest, { timeoutMs, signal }: RequestOptions): Promise<Answer> {
  return new Promise((resolve) => {
    const answer = (rest: Partial<Answer>): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      sent?.destroy();
      resolve({ stdout: "", stderr: "", timedOut: false, problem: "", ...rest });
    };
    let sent: ReturnType<typeof plain> | undefined;
    const stop = () => answer({ problem: "stopped" });
    const timer = setTimeout(() => answer({ timedOut: true }), timeoutMs);
    if (signal?.aborted === true) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const url = new URL(request.url);
      const { tls = {}, secret, body = "" } = request;
      const headers = {
        ...(body === "" ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        ...request.headers,
        ...(secret === undefined ? {} : { [secret.header]: firstLine(secret.file) }),
      };
      const options = { method: request.method, headers, agent: false as const };
      sent =
        url.protocol === "https:"
          ? secure(url, { ...options, ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key) })
          : plain(url, options);
      sent.on("error", (error: NodeJS.ErrnoException) => answer({ problem: problemOf(error) }));
      sent.on("response", (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > MAX_BYTES) answer({ problem: `more than ${MAX_BYTES} bytes of answer` });
          else chunks.push(chunk);
        });
        response.on("error", (error) => answer({ problem: problemOf(error) }));
        response.on("aborted", () => answer({ problem: "the answer was cut off" }));
        response.on("end", () =>
          answer({
            stdout: Buffer.concat(chunks).toString("utf8"),
            ...(response.statusCode === undefined ? {} : { exitCode: response.statusCode }),
          }),
        );
      });
      sent.end(body);
    } catch (thrown) {
      answer({ problem: problemOf(thrown as NodeJS.ErrnoException) });
    }
  });
}

function read(file: string | undefined): Buffer | undefined {
  return file === undefined ? undefined : readFileSync(file);
}

/** A file's first line; an error never says what is in it. */
function firstLine(file: string): string {
  const value = (readFileSync(file, "utf8").split("\n")[0] ?? "").trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(value)) throw new Error(`${file}: its first line is no token`);
  return value;
}

function problemOf({ code, message, syscall, path }: NodeJS.ErrnoException): string {
  if (syscall === "open" || syscall === "read") return `${path ?? "a file"} cannot be read (${code})`;
  if (code === "ECONNREFUSED") return "connection refused";
  return message === "" ? String(code) : message;
}
