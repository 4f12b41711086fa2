import { naturalCompare } from "@slipway/shared";

/**
 * The part of a kernel's release that names its kind rather than its age: amd64 of 6.1.0-44-amd64, x86_64 of
 * 5.14.0-503.el9_5.x86_64. Kernels of another kind (real time, debug, rescue) are no newer version of this one.
 */
export function kernelFlavour(release: string): string {
  return release
    .replace(/^[0-9][0-9.-]*/, "")
    .replace(/[+.](deb|bpo|el|fc|ubuntu)\d*([_.]\d+)*/g, "")
    .replace(/^(el|fc)\d+([_.]\d+)*/, "")
    .replace(/~?rc\d+/, "")
    .replace(/^[.+_-]+|[.+_-]+$/g, "");
}

/** The newest of `installed` if it is newer than the running kernel and of its kind; empty otherwise. */
export function newerKernel(running: string, installed: readonly string[]): string {
  const flavour = kernelFlavour(running);
  let newest = running;
  for (const release of installed)
    if (kernelFlavour(release) === flavour && naturalCompare(release, newest) > 0) newest = release;
  return newest === running ? "" : newest;
}
