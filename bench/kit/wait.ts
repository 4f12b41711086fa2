import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

/** Waits until `probe` gives something; what is waited for in vain is named. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false,
  withinMs = 60_000,
  everyMs = 20,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`);
    await sleep(everyMs);
  }
}

/** Sends a message to a forked process and waits for the one that answers it. */
export function ask<T extends { type: string }>(
  child: ChildProcess,
  message: { type: string } & Record<string, unknown>,
  answer: T["type"],
  withinMs = 120_000,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = (outcome: () => void) => {
      clearTimeout(timer);
      child.off("message", heard);
      child.off("exit", left);
      outcome();
    };
    const heard = (got: unknown) => {
      if ((got as T).type === answer) done(() => resolve(got as T));
    };
    const left = (code: number | null) => done(() => reject(new Error(`${message.type}: the process ended (${code})`)));
    const timer = setTimeout(
      () => done(() => reject(new Error(`${message.type}: no answer in ${withinMs} ms`))),
      withinMs,
    );
    child.on("message", heard);
    child.on("exit", left);
    child.send(message);
  });
}
