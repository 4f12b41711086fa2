import { statSync } from "node:fs";

/**
 * Started as root on a directory that belongs to another user, go on as that user: files made by root could not be read
 * by the service. A directory that does not exist yet will belong to whoever makes it.
 */
export function actAsOwner(dir: string): void {
  if (process.getuid?.() !== 0) return;
  const owner = statSync(dir, { throwIfNoEntry: false });
  if (owner === undefined || owner.uid === 0) return;
  process.setgroups?.([owner.gid]);
  process.setgid?.(owner.gid);
  process.setuid?.(owner.uid);
}
