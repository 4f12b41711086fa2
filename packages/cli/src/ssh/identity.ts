import { readFileSync } from "node:fs";
import { join } from "node:path";
import ssh2, { type AuthMethod, type ParsedKey } from "ssh2";
import { wrongUse } from "../io.ts";
import { reasonOf } from "../options/run.ts";

/** Asks at the terminal; undefined where nobody sits at one. `hidden` for what must not be seen. */
export type Ask = (question: string, hidden: boolean) => Promise<string>;

/** Keys to log in with. */
export interface Identities {
  /** Keys of files, good to use. */
  readonly keys: readonly { readonly file: string; readonly key: ParsedKey }[];
  /** Socket of ssh-agent; empty when there is none. */
  readonly agent: string;
  /** Keys that could not be used, in words. */
  readonly notUsed: readonly string[];
}

const DEFAULT_FILES = ["id_ed25519", "id_ecdsa", "id_rsa"] as const;
const TRIES = 3;

/** The keys of `--identity`, else of ssh-agent and the usual files. Errors: `bad-input` for a named file that cannot be used. */
export async function findIdentities(
  named: readonly string[],
  env: NodeJS.ProcessEnv,
  ask: Ask | undefined,
): Promise<Identities> {
  const agent = env["SSH_AUTH_SOCK"] ?? "";
  const keys: { file: string; key: ParsedKey }[] = [];
  const notUsed: string[] = [];
  for (const file of named) keys.push({ file, key: await readNamed(file, ask) });
  if (named.length === 0 && env["HOME"])
    for (const name of DEFAULT_FILES) {
      const file = join(env["HOME"], ".ssh", name);
      const key = readUsual(file);
      if (typeof key === "string") notUsed.push(key);
      else if (key !== undefined) keys.push({ file, key });
    }
  if (keys.length === 0 && agent === "")
    throw wrongUse(
      `ssh: there is no key to log in with${notUsed.length > 0 ? ` (${notUsed.join(", ")})` : ""}`,
      "give --identity FILE, or load a key into ssh-agent",
    );
  return { keys, agent, notUsed };
}

/** Ways to log in as `user`, in the order in which they are tried. */
export function authMethods({ keys, agent }: Identities, user: string): AuthMethod[] {
  const methods: AuthMethod[] = keys.map(({ key }) => ({ type: "publickey", username: user, key }));
  // Named keys come first: an agent may hold more keys than a server lets one try.
  if (agent !== "") methods.push({ type: "agent", username: user, agent });
  return methods;
}

export function identitiesText({ keys, agent, notUsed }: Identities): string {
  const tried = [...keys.map(({ file }) => file), ...(agent === "" ? [] : ["ssh-agent"])];
  return [`tried ${tried.join(", ")}`, ...notUsed].join("; ");
}

async function readNamed(file: string, ask: Ask | undefined): Promise<ParsedKey> {
  const content = readFile(file);
  let parsed = ssh2.utils.parseKey(content);
  for (let i = 0; parsed instanceof Error && isEncrypted(parsed); i++) {
    if (ask === undefined)
      throw wrongUse(`--identity: ${file} has a passphrase, and there is no terminal to ask for it`, "use ssh-agent");
    if (i === TRIES) throw wrongUse(`--identity: ${file}: that was not its passphrase`, "try again");
    parsed = ssh2.utils.parseKey(content, await ask(`passphrase of ${file}: `, true));
  }
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined || key instanceof Error || !key.isPrivateKey())
    throw wrongUse(`--identity: ${file} holds no private key that can be read`, "name the key itself, not its .pub");
  return key;
}

/** A usual key; a text when it is there and cannot be used. */
function readUsual(file: string): ParsedKey | string | undefined {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch {
    return undefined;
  }
  const parsed = ssh2.utils.parseKey(content);
  if (parsed instanceof Error)
    return isEncrypted(parsed) ? `${file} has a passphrase: name it with --identity` : `${file} cannot be read`;
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  return key?.isPrivateKey() ? key : undefined;
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw wrongUse(`--identity: ${file} ${reasonOf(cause)}`, "name a readable private key");
  }
}

/** Also what ssh2 says after a wrong passphrase. */
function isEncrypted(error: Error): boolean {
  return /encrypted|passphrase|decrypt|integrity|bad password/i.test(error.message);
}
