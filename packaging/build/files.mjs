// Puts files into a package's tree. Modes are given, never inherited from the checkout or the umask.
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";

export class Tree {
  constructor(dir) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
    chmodSync(dir, 0o755);
  }

  at(path) {
    return join(this.dir, path);
  }

  directory(path) {
    const parts = path.split("/").filter(Boolean);
    for (let i = 1; i <= parts.length; i++) {
      const dir = this.at(parts.slice(0, i).join("/"));
      mkdirSync(dir, { recursive: true });
      chmodSync(dir, 0o755);
    }
  }

  write(path, content, mode = 0o644) {
    this.directory(dirname(path));
    writeFileSync(this.at(path), content);
    chmodSync(this.at(path), mode);
  }

  copy(path, from, mode = 0o644) {
    this.directory(dirname(path));
    copyFileSync(from, this.at(path));
    chmodSync(this.at(path), mode);
  }

  copyDirectory(path, from) {
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      const [to, source] = [join(path, entry.name), join(from, entry.name)];
      if (entry.isDirectory()) this.copyDirectory(to, source);
      else this.copy(to, source);
    }
  }

  /** Compressed as Debian wants documentation: no name, no time. */
  gzip(path, content) {
    this.write(`${path}.gz`, gzipSync(content, { level: 9 }));
  }
}

export function text(...path) {
  return readFileSync(join(...path), "utf8");
}
