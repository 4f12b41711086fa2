/** As much of ssh2 as is used here. */
declare module "ssh2" {
  import type { EventEmitter } from "node:events";
  import type { Duplex, Readable, Writable } from "node:stream";

  export interface ParsedKey {
    readonly type: string;
    isPrivateKey(): boolean;
    getPublicSSH(): Buffer;
  }
  export type AuthMethod =
    | { type: "agent"; username: string; agent: string }
    | { type: "publickey"; username: string; key: ParsedKey };
  export interface ConnectConfig {
    host?: string;
    port?: number;
    username: string;
    /** Milliseconds until authentication must be done. */
    readyTimeout?: number;
    keepaliveInterval?: number;
    keepaliveCountMax?: number;
    /** A stream to the server, instead of a connection of its own. */
    sock?: Duplex;
    algorithms?: { serverHostKey?: readonly string[] };
    hostVerifier?: (key: Buffer) => boolean;
    authHandler?: readonly AuthMethod[];
  }
  export interface Channel extends Duplex {
    readonly stderr: Readable;
    readonly stdin: Writable;
    close(): void;
  }
  export class Client extends EventEmitter {
    connect(config: ConnectConfig): this;
    exec(command: string, done: (error: Error | undefined, channel: Channel) => void): this;
    forwardOut(
      fromHost: string,
      fromPort: number,
      toHost: string,
      toPort: number,
      done: (error: Error | undefined, channel: Channel) => void,
    ): this;
    setNoDelay(noDelay: boolean): this;
    end(): this;
    destroy(): this;
  }
  const ssh2: {
    Client: typeof Client;
    utils: { parseKey(data: Buffer | string, passphrase?: string): ParsedKey | ParsedKey[] | Error };
  };
  export default ssh2;
}
