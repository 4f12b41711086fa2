import { guestKernel } from "./lib/guest-kernel.ts";
import { currentPackages } from "./lib/packages.ts";
import { installPackages, obstacle } from "./lib/prerequisites.ts";
import type { Features } from "./lib/protocol.ts";
import { messageOf } from "./lib/system.ts";

const features: readonly Features[] = [{}, { libvirt: true }, { etcd: true }, { gluster: true }];

/**
 * Before the files of this tier, which share the machine two at a time: what labs need is installed, downloaded and built once, while
 * no lab is up on the machine's own files. What cannot be had is told here; the tests that need it say so again and are skipped.
 */
export default function prepare(): void {
  const attempt = (work: () => unknown) => {
    try {
      work();
    } catch (thrown) {
      console.log(`lab: ${messageOf(thrown)}`);
    }
  };
  if (process.getuid?.() === 0) for (const one of features) attempt(() => installPackages(() => {}, one));
  if (obstacle() !== undefined) return;
  attempt(() => currentPackages(() => {}));
  if (obstacle({ libvirt: true }) === undefined) attempt(() => guestKernel(() => {}));
}
