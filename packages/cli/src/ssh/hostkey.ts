import { SlipwayError } from "@slipway/shared";
import { wrongUse } from "../io.ts";
import type { Lookup } from "./knownhosts.ts";

export interface HostKeyFacts {
  /** For messages, such as root@hv7. */
  readonly target: string;
  /** SHA256:... of the key that the host shows. */
  readonly fingerprint: string;
  /** Type of that key, such as ssh-ed25519. */
  readonly type: string;
  readonly lookup: Lookup;
  /** Fingerprints given with --host-key. */
  readonly pins: readonly string[];
  /** A jump host: pins may be meant for the host behind it. */
  readonly isJump: boolean;
  /** Somebody sits at a terminal. */
  readonly canAsk: boolean;
}

export type HostKeyDecision =
  | { readonly do: "accept" }
  /** Ask, and make the key known when the answer is yes. */
  | { readonly do: "ask"; readonly question: string }
  | { readonly do: "refuse"; readonly error: SlipwayError };

/** Whether to trust the key that a host shows. Pure. */
export function decideHostKey(facts: HostKeyFacts): HostKeyDecision {
  const { target, fingerprint, type, lookup, pins, isJump, canAsk } = facts;
  const refuse = (text: string, fix: string): HostKeyDecision => ({
    do: "refuse",
    error: new SlipwayError("refused", `${target}: ${text}`, { fix }),
  });
  const shown = `its ${type} key ${fingerprint}`;
  if (lookup.is === "revoked")
    return refuse(`${shown} is marked as revoked in ${lookup.at}`, "find out who shows it; do not log in");
  if (pins.includes(fingerprint)) return { do: "accept" };
  if (pins.length > 0 && !isJump)
    return refuse(`${shown} is not the one given with --host-key`, "find out which of the two is right");
  if (lookup.is === "known") return { do: "accept" };
  if (lookup.is === "changed")
    return refuse(
      `${shown} is not the one in ${lookup.at}: another machine, one that was installed anew, or somebody in between`,
      `compare it with ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub on its console; then remove that line, or give --host-key ${fingerprint}`,
    );
  if (!canAsk)
    return refuse(
      `${shown} is not known here`,
      `compare it with ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub on its console, then give --host-key ${fingerprint}`,
    );
  return {
    do: "ask",
    question: `${target} is not known here. It shows ${shown.slice(4)}.\nIs that its key? [yes/no] `,
  };
}

/** Checks --host-key values. */
export function parsePins(values: readonly string[]): string[] {
  return values.map((value) => {
    const pin = value.trim().replace(/=+$/, "");
    if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(pin))
      throw wrongUse(`--host-key: "${value}" is no fingerprint`, "write SHA256:... as ssh-keygen -lf prints it");
    return pin;
  });
}
