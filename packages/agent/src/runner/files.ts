// Shared by the runner and the executors that start it. Node's own modules only: the runner has to start fast and must not
// break because a dependency is being upgraded under it.
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/**
 * A step's directory:
 *
 *   spec.json     what to run; written before the runner is started
 *   claim         who runs it; made by link(2), so that of any number of runners exactly one goes on
 *   started.json  the hook's process
 *   requests      the file behind SLIPWAY_OUTPUT
 *   output.json   what it has written so far; refreshed now and then, not durable
 *   cancel        a reason; its existence asks the runner to end the hook
 *   reserve       room for a short result on a disk that is full by then
 *   result.json   how it ended; atomic and durable
 *   stopped.ID    how systemd ended the unit of invocation ID, see executors/systemd
 */
export const names = {
  spec: "spec.json",
  claim: "claim",
  started: "started.json",
  requests: "requests",
  output: "output.json",
  cancel: "cancel",
  reserve: "reserve",
  result: "result.json",
} as const;

export interface Spec {
  readonly id: string;
  /** Value of SLIPWAY_STEP in the hook's environment, by which its processes are known. Not used twice on a machine. */
  readonly marker: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly timeoutMs: number;
  readonly graceMs: number;
  /** Bytes kept of the output's beginning, and of its end. */
  readonly keepBytes: number;
  readonly bootId: string;
  /** Limit on the memory of runner and hook together, as systemd takes it; absent when there is none. */
  readonly memoryMax?: string;
}

export interface Claim {
  readonly id: string;
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
  readonly claimedAtMs: number;
  /** Present under the systemd executor: the unit, and which of its starts. */
  readonly unit?: string;
  readonly invocation?: string;
  /** Present when nothing was started and nothing ever will be, with the reason. */
  readonly sealed?: string;
}

export interface Started {
  readonly pid: number;
  readonly startTime: string;
}

export interface Output {
  readonly output: string;
  readonly outputBytes: number;
}

export interface Outcome extends Output {
  readonly exitCode?: number;
  readonly signal: string;
  readonly timedOut: boolean;
  readonly cancelled: boolean;
  readonly cancelReason: string;
  readonly startError: string;
  /** Present when neither deadline nor Slipway ended it: the host was going down, or the unit was stopped by somebody. */
  readonly stoppedBy?: "shutdown" | "outside";
  /** Processes of the hook that the kernel killed for want of memory; absent when nobody counted. */
  readonly oomKills?: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly durationMs: number;
  /** Text of the requests file. */
  readonly requests: string;
  readonly bootId: string;
}

const RESERVE_BYTES = 64 * 1024;

/** Environment variable that marks every process of a hook. */
export const HOOK_MARKER = "SLIPWAY_STEP";
/** Environment variable that marks a runner. */
export const RUNNER_MARKER = "SLIPWAY_RUNNER";

/** Temporary file, fsync, rename, fsync of the directory. */
export function writeDurably(dir: string, name: string, content: string): void {
  const path = join(dir, name);
  const temporary = temporaryName(path);
  try {
    writeSynced(temporary, content);
    renameSync(temporary, path);
  } catch (thrown) {
    rmSync(temporary, { force: true });
    throw thrown;
  }
  syncDirectory(dir);
}

/** Sets room aside for `writeReserved`; a disk that has none left now is no reason not to run. */
export function reserve(dir: string): void {
  try {
    // Written, not merely allocated by length: a hole has no blocks.
    writeFileSync(join(dir, names.reserve), Buffer.alloc(RESERVE_BYTES), { mode: 0o600 });
  } catch {
    rmSync(join(dir, names.reserve), { force: true });
  }
}

/** Like `writeDurably`, into the blocks that `reserve` got, if there are any. */
export function writeReserved(dir: string, name: string, content: string): void {
  const path = join(dir, names.reserve);
  const over = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length; ) at += writeSync(over, bytes, at, bytes.length - at, at);
    ftruncateSync(over, bytes.length);
    fsyncSync(over);
  } finally {
    closeSync(over);
  }
  renameSync(path, join(dir, name));
  syncDirectory(dir);
}

/** Takes the claim; false when somebody has it. It never appears half-written, and not before it is durable. */
export function takeClaim(dir: string, claim: Claim): boolean {
  const path = join(dir, names.claim);
  const temporary = temporaryName(path);
  try {
    writeSynced(temporary, JSON.stringify(claim));
    linkSync(temporary, path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw thrown;
  } finally {
    rmSync(temporary, { force: true });
  }
  syncDirectory(dir);
  return true;
}

/** Undefined when there is no such file; throws when it cannot be read. */
export function readJson<T>(dir: string, name: string): T | undefined {
  try {
    return JSON.parse(readFileSync(join(dir, name), "utf8")) as T;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}

/** The text of a file that somebody else writes: of a huge one only the beginning and the end, in whole lines. */
export function readCapped(path: string, keepBytes: number): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return "";
  }
  try {
    const buffer = Buffer.alloc(2 * keepBytes + 1);
    const length = readSync(fd, buffer, 0, buffer.length, 0);
    if (length <= 2 * keepBytes) return buffer.toString("utf8", 0, length);
    const head = buffer.toString("utf8", 0, keepBytes);
    const tailBuffer = Buffer.alloc(keepBytes);
    const size = Math.max(length, fstatSync(fd).size);
    const tailLength = readSync(fd, tailBuffer, 0, keepBytes, size - keepBytes);
    const tail = tailBuffer.toString("utf8", 0, tailLength);
    return `${head.slice(0, head.lastIndexOf("\n") + 1)}${tail.slice(tail.indexOf("\n") + 1)}`;
  } catch {
    return "";
  } finally {
    closeSync(fd);
  }
}

export function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function temporaryName(path: string): string {
  return `${path}.${process.pid}.tmp`;
}

function writeSynced(path: string, content: string): void {
  const fd = openSync(path, "w", 0o600);
  try {
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
