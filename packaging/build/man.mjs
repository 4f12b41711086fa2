// Manual pages. The commands come from the programs' own help, the keys from the shipped agent.properties, the rest from packaging/man.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const roff = (line) =>
  line
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/, "\\&$1");
const literal = (text) =>
  `.nf\n${text
    .replace(/^\n+|\s+$/g, "")
    .split("\n")
    .map(roff)
    .join("\n")}\n.fi\n`;

/** `packaging/man/<page>` with its marks filled in. */
export function manPage(root, page, { version, epoch, fill = {} }) {
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  let text = readFileSync(join(root, "packaging/man", page), "utf8");
  for (const [mark, value] of Object.entries({ VERSION: version, DATE: date, ...fill })) {
    text = text.replaceAll(`@${mark}@`, () => value);
  }
  const left = /@[A-Z]+@/.exec(text);
  if (left) throw new Error(`packaging/man/${page}: ${left[0]} was not filled in`);
  return text;
}

/** One subsection per command, as `help` shows it. `run` is the program's command line without arguments. */
export function commandsOf(run, name) {
  const sections = [];
  const visit = (path) => {
    const help = helpOf(run, path);
    // Long explanations of the program itself are the page's own business.
    if (path.length > 0)
      sections.push(
        `.SS "${name} ${path.join(" ")}"\n${literal(help.replace(/\n\nGlobal Options:[\s\S]*?(?=\n\n|$)/, ""))}`,
      );
    for (const command of subcommands(help)) visit([...path, command]);
  };
  visit([]);
  return sections.join("");
}

/** The options of the program itself. */
export function optionsOf(run) {
  return literal(/Options:\n([\s\S]*?)(?=\n\n|$)/.exec(helpOf(run, []))?.[1] ?? "");
}

function helpOf(run, path) {
  const [program, ...args] = run;
  const { status, stdout, stderr } = spawnSync(program, [...args, ...path, "--help"], {
    encoding: "utf8",
    timeout: 30_000,
    env: { PATH: process.env.PATH, COLUMNS: "76" },
  });
  if (status !== 0 || !stdout.startsWith("Usage:"))
    throw new Error(`${path.join(" ")} --help: ${stderr.trim() || stdout}`);
  return stdout;
}

/** The words that a help text lists under any heading but those for options and examples. */
function subcommands(help) {
  const found = [];
  let isCommands = false;
  for (const line of help.split("\n")) {
    if (/^\S.*:$/.test(line)) isCommands = !/^(Options|Global Options|Arguments|Examples?):$/.test(line);
    else if (line === "") isCommands = false;
    const word = /^ {2}([a-z][\w-]*)( |$)/.exec(line)?.[1];
    if (isCommands && word && word !== "help") found.push(word);
  }
  return found;
}

/** The keys of agent.properties: a comment block above each `#key=value` or `key=value` line is its description. */
export function keysOf(properties) {
  const out = [];
  let comment = [];
  for (const line of properties.split("\n")) {
    const key = /^#?((?:slipway|rolling)\.[a-z.]+)=(.*)$/.exec(line);
    if (key) {
      out.push(`.TP\n.B ${roff(`${key[1]}=${key[2]}`)}\n${comment.map(roff).join("\n")}\n`);
      comment = [];
    } else if (line.startsWith("# ")) comment.push(line.slice(2));
    else comment = [];
  }
  return out.join("");
}
