// Recorded answers of real systems, one file for each situation:
//
//   ##> gluster --mode=script --xml pool list      what was asked
//   <?xml ...                                      what came back
//   ##! stderr                                     (only if there was some)
//   ##= 0                                          exit or HTTP status, `timeout`, or `failed` with the reason on stderr
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { SystemHealth } from "@slipway/shared";
import type { Answer } from "../answer.ts";
import { reasonOf, unknownHealth } from "../findings.ts";
import type { Probe } from "../probe.ts";
import { SettingsReader } from "../settings.ts";

export type Recording = ReadonlyMap<string, Answer>;

export function recorded(system: string, situation: string): Recording {
  return readRecording(
    readFileSync(fileURLToPath(new URL(`../recorded/${system}/${situation}.txt`, import.meta.url)), "utf8"),
  );
}

export function readRecording(text: string): Recording {
  const found = new Map<string, Answer>();
  const entry = /^##> (.*)\n([\s\S]*?)^##= (\S+)\n/gm;
  let rest = text;
  for (const [all, asked = "", body = "", status = ""] of text.matchAll(entry)) {
    rest = rest.replace(all, () => "");
    const [stdout = "", stderr = ""] = body.split("##! stderr\n");
    found.set(asked, {
      stdout,
      stderr,
      ...(/^\d+$/.test(status) ? { exitCode: Number(status) } : {}),
      timedOut: status === "timeout",
      problem: status === "failed" ? stderr.trim() : "",
    });
  }
  if (rest.trim() !== "" || found.size === 0) throw new Error(`no recording: ${rest.slice(0, 200)}`);
  return found;
}

export interface Replay {
  readonly settings?: Readonly<Record<string, string>>;
  readonly going?: readonly string[];
  readonly host?: string;
  /** What the recording has no answer for; undefined makes the test fail. */
  readonly otherwise?: Answer;
}

/** Has a probe ask a recording instead of the system. */
export async function replay(probe: Probe, recording: Recording, options: Replay = {}): Promise<SystemHealth> {
  const missing: string[] = [];
  const { settings = {}, going = [], host = "n1", otherwise } = options;
  const answer = (asked: string): Promise<Answer> => {
    const found = recording.get(asked) ?? otherwise;
    if (found === undefined) missing.push(asked);
    return Promise.resolve(found ?? { stdout: "", stderr: "", timedOut: false, problem: "not recorded" });
  };
  let health: SystemHealth;
  try {
    health = await probe.ask({
      settings: new SettingsReader(settings, host),
      going,
      host,
      run: (argv, { env = {} } = {}) => {
        const variables = Object.entries(env).map(([name, value]) => `${name}=${value} `);
        return answer(`${variables.length > 0 ? "env " : ""}${variables.join("")}${argv.join(" ")}`);
      },
      request: ({ method, url, body }) => answer([method, url, body ?? ""].join(" ").trim()),
      pause: () => Promise.resolve(false),
    });
  } catch (thrown) {
    health = unknownHealth(probe.system, reasonOf(thrown));
  }
  if (missing.length > 0) throw new Error(`not recorded: ${missing.join("\n")}`);
  return health;
}
