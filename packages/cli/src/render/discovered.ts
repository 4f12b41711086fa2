import type { operatorWire } from "@slipway/shared/wire";
import { clean, wrap } from "./text.ts";

type Found = Pick<operatorWire.DiscoverSystemsResponse, "systems" | "asked" | "unclear">;

/** Comments wrap here. */
const LINE = 100;

/** What hosts found as a pool file: new systems as `probes`, everything else as comments, so that it can be saved as it is. */
export function renderDiscovered({ systems, asked, unclear }: Found): string[] {
  const fresh = systems.filter((s) => s.knownAs === "");
  const known = systems.filter((s) => s.knownAs !== "");
  const lines = comment(`asked ${asked.map(clean).join(", ")}; nothing of this is used before slipway pool apply`);
  for (const s of known)
    lines.push(
      ...comment(
        `${clean(s.system)} on ${s.from.map(clean).join(", ")} is in the pool file already, as ${clean(s.knownAs)}`,
      ),
    );
  for (const { text } of unclear) lines.push(...comment(`not readable, so not proposed: ${clean(text)}`));
  if (fresh.length === 0)
    return [...lines, ...comment(systems.length === 0 ? "no system was found" : "no other system was found")];
  lines.push("probes:");
  for (const s of fresh) lines.push(...probeLines(s));
  return lines;
}

function probeLines(system: operatorWire.DiscoveredSystem): string[] {
  const indent = "    ";
  const lines: string[] = [];
  const version = system.version === "" ? "" : ` ${clean(system.version)}`;
  lines.push(...comment(`${clean(system.system)}${version}, ${system.state} now`, "  "));
  for (const set of system.sets) {
    const members = set.members.map(
      (m) =>
        `${clean(m.name)}${m.host === "" || m.host === m.name ? "" : ` on ${clean(m.host)}`}${m.state === "up" ? "" : ` (${clean(m.state)})`}`,
    );
    const margin =
      set.margin < 0 ? "too few are up" : set.margin === 0 ? "no more may go" : `${set.margin} more may go`;
    lines.push(
      ...comment(`${clean(set.name)}: ${set.up} up, ${set.needed} needed, ${margin}: ${members.join(", ")}`, "  "),
    );
  }
  lines.push(`  - name: ${scalar(system.name)}`, `${indent}system: ${scalar(system.system)}`);
  lines.push(`${indent}from: [${system.from.map(scalar).join(", ")}]`);
  const aliases = Object.entries(system.aliases);
  if (aliases.length > 0)
    lines.push(`${indent}aliases: { ${aliases.map(([k, v]) => `${scalar(k)}: ${scalar(v)}`).join(", ")} }`);
  if (system.unplaced.length > 0)
    lines.push(
      ...comment(
        `which hosts are ${system.unplaced.map((a) => clean(a) || "members without an address").join(", ")}? Until "aliases" or "outside" says so, the state is unknown`,
        indent,
      ),
    );
  return lines;
}

function comment(text: string, indent = ""): string[] {
  return wrap(text.split(" "), LINE - indent.length - 4).map((line, n) => `${indent}# ${n === 0 ? "" : "  "}${line}`);
}

/** Plain where YAML reads it as a text, else quoted; JSON strings are YAML. */
function scalar(text: string): string {
  const plain = clean(text);
  return /^[A-Za-z][A-Za-z0-9_.-]*$/.test(plain) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(plain)
    ? plain
    : JSON.stringify(plain);
}
