import { execFile } from "node:child_process";

/** systemd answers in milliseconds; on a host that is out of breath it may take a while. */
const DEADLINE_MS = 20_000;
const MAX_ANSWER_BYTES = 256 * 1024;

export type Answer = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };

/** systemd's command-line tools; their output is documented to be stable. */
export interface Systemd {
  /** systemd-run. */
  run(args: readonly string[]): Promise<Answer>;
  systemctl(args: readonly string[]): Promise<Answer>;
}

export const hostSystemd: Systemd = {
  run: (args) => call("systemd-run", args),
  systemctl: (args) => call("systemctl", args),
};

function call(program: string, args: readonly string[]): Promise<Answer> {
  const options = {
    timeout: DEADLINE_MS,
    maxBuffer: MAX_ANSWER_BYTES,
    encoding: "utf8",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
  } as const;
  return new Promise((resolve) => {
    const answer = (error: Error | null, stdout: string, stderr: string) => {
      if (error === null) resolve({ ok: true, text: stdout });
      else if ("killed" in error && error.killed)
        resolve({ ok: false, reason: `${program}: no answer in ${DEADLINE_MS} ms` });
      else {
        const said = stderr.trim().replace(/\s+/g, " ").slice(0, 500);
        resolve({ ok: false, reason: `${program}: ${said || error.message}` });
      }
    };
    try {
      execFile(program, args, options, answer);
    } catch (thrown) {
      answer(thrown as Error, "", "");
    }
  });
}
