#!/usr/bin/env node
// The CLI has no native dependency, so Node 20 will do for it; everything else of Slipway needs 24.
const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(
    `slipway: this is Node ${process.versions.node}, Slipway is made for 24 or newer` +
      (major < 20
        ? "; `npx slipway` in the checkout brings it"
        : " (`npx slipway` in the checkout brings it); going on"),
  );
  if (major < 20) process.exit(2);
}
const { main } = await import("../dist/main.js");
await main(process.argv);
