#!/usr/bin/env node
// Checked before anything else is loaded, in syntax that old versions parse: better-sqlite3 crashes Node 20 without a word.
if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(
    `slipway-agent: needs Node 24 or newer, this is ${process.versions.node}; ` +
      "start it with `npx slipway-agent` in the checkout (it brings Node 24) or install a newer Node",
  );
  process.exit(2);
}
const { main } = await import("../dist/main.js");
await main(process.argv);
