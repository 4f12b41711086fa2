import { randomUUID } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { SlipwayError } from "@slipway/shared";
import { type HookFile, hookSetHash, syncDirectory } from "@slipway/shared/node";

/** Versions that this program has made: start of the set's hash, and a random end, since the same set may come again. */
const VERSION = /^(?:\.new-)?[0-9a-f]{16}-[0-9a-f]{8}$/;

/**
 * Puts a set of files in the place of the hooks directory, whole:
 *
 *   <parent>/hooks.d                   a link to the version in use
 *   <parent>/.hooks.d.versions/<id>/   the version in use and the one before it
 *   <parent>/.hooks.d.next             the link of a swap that is under way
 *   <parent>/hooks.d.replaced-<time>   a directory of the operator's own that stood in the place before
 *
 * A version is on the disk, whole, before the link is renamed over the old one, so that every look finds either the old set or
 * the new one. Only where a real directory has to make room first is the place empty for a moment: a crash in it leaves no
 * hooks directory, which refuses every step, until `finishInstall` puts the link there.
 *
 * Returns where the files that were there before are now; empty when nothing was. Throws what the file system says.
 */
export function installHooks(hooksDir: string, files: readonly HookFile[]): string {
  const { dir, parent, versions, next } = placesOf(hooksDir);
  mkdirSync(versions, { recursive: true, mode: 0o755 });
  const owner = lstatSync(versions);
  if (!owner.isDirectory() || ![0, process.getuid?.()].includes(owner.uid) || (owner.mode & 0o022) !== 0)
    throw new SlipwayError("refused", `${versions}: is not a directory of this agent that nobody else can write to`, {
      fix: "remove it",
    });
  const id = `${hookSetHash(files).slice(0, 16)}-${randomUUID().slice(0, 8)}`;
  const making = join(versions, `.new-${id}`);
  mkdirSync(making, { mode: 0o755 });
  for (const file of files) writeFile(join(making, file.name), file);
  syncDirectory(making);
  renameSync(making, join(versions, id));
  syncDirectory(versions);

  rmSync(next, { force: true });
  symlinkSync(join(basename(versions), id), next);
  const before = lstatSync(dir, { throwIfNoEntry: false });
  const replaced = swap(dir, next, before);
  syncDirectory(parent);
  prune(versions, [id, basename(replaced)]);
  return replaced;
}

/**
 * Ends a swap that was cut off. Called when the agent starts, before it looks at its hooks. Returns why it could not; empty when
 * all is well. What is then missing shows in the inventory.
 */
export function finishInstall(hooksDir: string): string {
  if (hooksDir === "") return "";
  const { dir, parent, next } = placesOf(hooksDir);
  try {
    if (!lstatSync(next, { throwIfNoEntry: false })?.isSymbolicLink()) return "";
    const there = lstatSync(dir, { throwIfNoEntry: false });
    // Somebody who makes missing directories may have been here first.
    if (there?.isDirectory() && readdirSync(dir).length === 0) rmdirSync(dir);
    if (lstatSync(dir, { throwIfNoEntry: false }) === undefined) renameSync(next, dir);
    else rmSync(next, { force: true });
    syncDirectory(parent);
    return "";
  } catch (thrown) {
    return `${next}: ${(thrown as Error).message}`;
  }
}

function placesOf(hooksDir: string) {
  // Without a trailing slash, which would make every look follow the link.
  const dir = resolve(hooksDir);
  const [parent, name] = [dirname(dir), basename(dir)];
  return { dir, parent, versions: join(parent, `.${name}.versions`), next: join(parent, `.${name}.next`) };
}

/** Renames the new link into the place; returns where the old content is. */
function swap(dir: string, next: string, before: Stats | undefined): string {
  if (before === undefined) {
    renameSync(next, dir);
    return "";
  }
  if (before.isSymbolicLink()) {
    const target = resolve(dirname(dir), readlinkSync(dir));
    renameSync(next, dir);
    return target;
  }
  if (!before.isDirectory())
    throw new SlipwayError("refused", `${dir}: is neither a directory nor a link to one`, { fix: "remove it" });
  const aside = `${dir}.replaced-${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}-${randomUUID().slice(0, 4)}`;
  renameSync(dir, aside);
  try {
    renameSync(next, dir);
  } catch (thrown) {
    renameSync(aside, dir);
    throw thrown;
  }
  try {
    // Succeeds for an empty one, which nobody will miss.
    rmdirSync(aside);
    return "";
  } catch {
    return aside;
  }
}

function writeFile(path: string, { content, executable }: HookFile): void {
  const fd = openSync(path, "wx", 0o600);
  try {
    let offset = 0;
    while (offset < content.length) offset += writeSync(fd, content, offset);
    // Set rather than asked for, so that no umask has a say.
    fchmodSync(fd, executable ? 0o755 : 0o644);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Drops versions that are neither in use nor the one before; what cannot be dropped now is so the next time. */
function prune(versions: string, keep: readonly string[]): void {
  for (const name of readdirSync(versions)) {
    if (!VERSION.test(name) || keep.includes(name)) continue;
    try {
      rmSync(join(versions, name), { recursive: true, force: true });
    } catch {
      // Left-overs take room, nothing else.
    }
  }
}
