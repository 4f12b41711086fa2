import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import ssh2, { type Channel, type Client, type ConnectConfig } from "ssh2";
import { decideHostKey } from "./hostkey.ts";
import { type Ask, authMethods, type Identities, identitiesText } from "./identity.ts";
import { fingerprintOf, knownHostLine, knownTypes, lookup, parseKnownHosts, typeOf } from "./knownhosts.ts";
import { knownName, type SshTarget, targetText } from "./target.ts";

export interface SshOptions {
  readonly target: SshTarget;
  readonly jump: SshTarget | undefined;
  readonly identities: Identities;
  /** Fingerprints given with --host-key. */
  readonly pins: readonly string[];
  /** Read in this order; a key that is accepted at the terminal goes into the first. */
  readonly knownHosts: readonly string[];
  readonly ask: Ask | undefined;
}

export interface Output {
  /** Exit status; null when the command was ended by a signal. */
  readonly status: number | null;
  /** Cut at the cap. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  /** Milliseconds. Default 30 s. */
  readonly deadlineMs?: number;
  readonly stdin?: Uint8Array | string;
}

const LOGIN_MS = 20_000;
const EXEC_MS = 30_000;
const KEEPALIVE_MS = 5_000;
/** Cap on each of the two outputs of a remote command, in bytes. */
const MAX_OUTPUT = 256 * 1024;

/** Key types by the algorithms that show them; SHA-1 signatures and DSA are not accepted. */
const algorithms: Record<string, readonly string[]> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
};

/** A login on a host. Every command has a deadline and a cap on its output. */
export class SshConnection {
  readonly target: SshTarget;
  readonly fingerprint: string;
  readonly #client: Client;
  readonly #via: SshConnection | undefined;
  #lost: Error | undefined;

  private constructor(target: SshTarget, fingerprint: string, client: Client, via: SshConnection | undefined) {
    this.target = target;
    this.fingerprint = fingerprint;
    this.#client = client;
    this.#via = via;
    client.on("error", (error: Error) => {
      this.#lost = error;
    });
    client.on("close", () => {
      this.#lost ??= new Error("the connection was closed");
    });
  }

  /** Logs in, through the jump host if there is one. Errors: `refused` (host key, no key accepted), `unreachable`, `timed-out`. */
  static async open(options: SshOptions): Promise<SshConnection> {
    const { jump } = options;
    if (jump === undefined) return SshConnection.#login(options, options.target, undefined);
    const via = await SshConnection.#login(options, jump, undefined);
    try {
      return await SshConnection.#login(options, options.target, via);
    } catch (thrown) {
      via.close();
      throw thrown;
    }
  }

  static async #login(options: SshOptions, target: SshTarget, via: SshConnection | undefined): Promise<SshConnection> {
    const name = knownName(target);
    const known = () => options.knownHosts.flatMap((file) => parseKnownHosts(readIfThere(file), file));
    const pins = [...options.pins];
    const isJump = options.jump !== undefined && via === undefined;
    for (let canAsk = options.ask !== undefined; ; canAsk = false) {
      const hosts = known();
      const first = knownTypes(hosts, name).flatMap((type) => algorithms[type] ?? []);
      const offered = [...new Set([...first, ...Object.values(algorithms).flat()])];
      let shown: Buffer = Buffer.alloc(0);
      const decide = (key: Buffer) =>
        decideHostKey({
          ...{ target: targetText(target), fingerprint: fingerprintOf(key), type: typeOf(key) },
          ...{ lookup: lookup(hosts, name, key), pins, isJump, canAsk },
        });
      const config: ConnectConfig = {
        ...(via === undefined ? { host: target.host, port: target.port } : { sock: await via.#forward(target) }),
        username: target.user,
        readyTimeout: LOGIN_MS,
        keepaliveInterval: KEEPALIVE_MS,
        algorithms: { serverHostKey: offered },
        hostVerifier: (key) => {
          shown = key;
          return decide(key).do === "accept";
        },
        authHandler: authMethods(options.identities, target.user),
      };
      const result = await login(config);
      if (!(result instanceof Error)) return new SshConnection(target, fingerprintOf(shown), result, via);
      const decision = shown.length > 0 ? decide(shown) : undefined;
      if (decision?.do === "refuse") throw decision.error;
      if (decision?.do !== "ask" || options.ask === undefined) throw explain(result, target, options.identities);
      // Asked while nothing is connected: a server does not wait for people to compare fingerprints.
      const answer = await options.ask(decision.question, false);
      if (answer.trim().toLowerCase() !== "yes")
        throw new SlipwayError("refused", `${targetText(target)}: its host key was not accepted`);
      remember(options.knownHosts[0], knownHostLine(name, shown));
      pins.push(fingerprintOf(shown));
    }
  }

  /** Runs a fixed script with arguments, which it sees as $1, $2 ...; no text of an operator is ever part of a script. */
  run(script: string, args: readonly string[] = [], options: ExecOptions & { sudo?: boolean } = {}): Promise<Output> {
    const words = [...(options.sudo ? ["sudo", "-n", "--"] : []), "sh", "-c", quoteWord(script), "sh"];
    return this.exec([...words, ...args.map(quoteWord)].join(" "), options);
  }

  exec(command: string, { deadlineMs = EXEC_MS, stdin }: ExecOptions = {}): Promise<Output> {
    const subject = targetText(this.target);
    return new Promise((resolve, reject) => {
      if (this.#lost) return reject(lostError(subject, this.#lost));
      let channel: Channel | undefined;
      const timer = setTimeout(() => {
        channel?.close();
        end(() =>
          reject(new SlipwayError("timed-out", `${subject}: a command did not end within ${deadlineMs / 1000} s`)),
        );
      }, deadlineMs);
      const onClose = () => end(() => reject(lostError(subject, this.#lost)));
      const end = (settle: () => void) => {
        clearTimeout(timer);
        this.#client.off("close", onClose);
        settle();
      };
      this.#client.on("close", onClose);
      this.#client.exec(command, (error, opened) => {
        if (error) return end(() => reject(lostError(subject, error)));
        channel = opened;
        const [stdout, stderr] = [new Capped(), new Capped()];
        let status: number | null = null;
        opened.on("data", (data: Buffer) => stdout.add(data));
        opened.stderr.on("data", (data: Buffer) => stderr.add(data));
        opened.on("exit", (code: number | null) => {
          status = code;
        });
        opened.on("close", () => end(() => resolve({ status, stdout: stdout.text(), stderr: stderr.text() })));
        // A command that ends without reading its input is judged by its status.
        opened.on("error", () => {});
        opened.end(stdin);
      });
    });
  }

  close(): void {
    this.#client.end();
    this.#via?.close();
  }

  #forward({ host, port }: SshTarget): Promise<Channel> {
    return new Promise((resolve, reject) => {
      this.#client.forwardOut("127.0.0.1", 0, host, port, (error, channel) =>
        error
          ? reject(
              new SlipwayError("unreachable", `${targetText(this.target)}: cannot reach ${host}:${port} from there`, {
                cause: error,
                fix: "check the address as the jump host sees it",
              }),
            )
          : resolve(channel),
      );
    });
  }
}

/** One attempt; an error is a value, since what it means depends on the host key. */
function login(config: ConnectConfig): Promise<Client | Error> {
  return new Promise((resolve) => {
    const client = new ssh2.Client();
    const failed = (error: Error) => {
      client.on("error", () => {});
      client.destroy();
      resolve(error);
    };
    client.once("error", failed);
    client.once("close", () => failed(new Error("the connection was closed")));
    client.once("ready", () => {
      client.removeAllListeners("error");
      client.removeAllListeners("close");
      // Every command is a few small messages to and fro.
      if (config.sock === undefined) client.setNoDelay(true);
      resolve(client);
    });
    try {
      client.connect(config);
    } catch (thrown) {
      failed(thrown as Error);
    }
  });
}

function explain(error: Error, target: SshTarget, identities: Identities): SlipwayError {
  const { level, code } = error as { level?: string; code?: string };
  const subject = targetText(target);
  if (level === "client-authentication")
    return new SlipwayError("refused", `${subject}: none of the keys is accepted (${identitiesText(identities)})`, {
      cause: error,
      fix: "give --identity FILE, or add the key to the authorized_keys of that user",
    });
  if (level === "client-timeout")
    return new SlipwayError("timed-out", `${subject}: no login within ${LOGIN_MS / 1000} s`, { cause: error });
  return new SlipwayError("unreachable", `${subject}: cannot be reached (${code ?? error.message})`, {
    cause: error,
    fix: `check that sshd runs there and listens on port ${target.port}`,
  });
}

function lostError(subject: string, cause: Error | undefined): SlipwayError {
  return new SlipwayError("unreachable", `${subject}: the connection was lost (${cause?.message ?? "closed"})`, {
    cause,
    fix: "repeat the command: it goes on where it was",
  });
}

/** A word of a POSIX shell's command line, literally. */
function quoteWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function remember(file: string | undefined, line: string): void {
  if (file === undefined) return;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const text = readIfThere(file);
  appendFileSync(file, text === "" || text.endsWith("\n") ? line : `\n${line}`, { mode: 0o600 });
}

/** The files that OpenSSH reads. */
export function defaultKnownHosts(env: NodeJS.ProcessEnv): string[] {
  const own = env["HOME"] ? [join(env["HOME"], ".ssh", "known_hosts")] : [];
  return [...own, "/etc/ssh/ssh_known_hosts"];
}

/** Keeps the first part of an output. */
class Capped {
  readonly #parts: Buffer[] = [];
  #room = MAX_OUTPUT;

  add(data: Buffer): void {
    if (this.#room <= 0) return;
    this.#parts.push(data.subarray(0, this.#room));
    this.#room -= data.length;
  }

  text(): string {
    return Buffer.concat(this.#parts).toString("utf8");
  }
}
