import type { Server, ServerCredentials } from "@grpc/grpc-js";
import { SlipwayError } from "@slipway/shared";
import type { Logger } from "@slipway/shared/log";

/** How long calls under way may take to end when the controller stops, in milliseconds. */
const GRACE_MS = 500;
/** Refused connections are logged at most this often; what was left out is counted. */
const QUIET_MS = 1_000;

/** Binds `host:port` and returns it with the real port. Errors: `conflict` when it is in use, `refused` otherwise. */
export function bind(server: Server, address: string, flag: string, credentials: ServerCredentials): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (!error) return resolve(`${address.slice(0, address.lastIndexOf(":"))}:${port}`);
      const inUse = /EADDRINUSE/.test(error.message);
      reject(
        new SlipwayError(
          inUse ? "conflict" : "refused",
          `${address}: ${inUse ? "another process listens there" : `cannot listen there (${error.message})`}`,
          { cause: error, fix: inUse ? `stop it, or give another ${flag}` : `give another ${flag}` },
        ),
      );
    });
  });
}

/** Lets calls under way end, for a moment. */
export function shutdown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, GRACE_MS);
    server.tryShutdown(() => {
      clearTimeout(timer);
      server.forceShutdown();
      resolve();
    });
  });
}

interface TlsSource {
  on(
    event: "tlsClientError",
    listener: (error: Error & { code?: string }, socket?: { remoteAddress?: string }) => void,
  ): void;
}

/**
 * Logs connections that TLS refuses (a wrong certificate, none, garbage). grpc-js has no event for them; the HTTP/2 servers
 * inside it do. Should a later grpc-js keep them elsewhere, only these log lines are gone.
 */
export function logRefusedConnections(server: Server, log: Logger, port: string): void {
  const inside: unknown = Reflect.get(server, "http2Servers");
  if (!(inside instanceof Map)) return;
  let quietUntil = 0;
  let unlogged = 0;
  for (const source of inside.keys() as Iterable<TlsSource>)
    source.on("tlsClientError", (error, socket) => {
      const now = performance.now();
      if (now < quietUntil) {
        unlogged++;
        return;
      }
      quietUntil = now + QUIET_MS;
      log.warn(
        { peer: socket?.remoteAddress, code: error.code, ...(unlogged > 0 ? { unlogged } : {}) },
        `connection to the port for ${port} refused by TLS: ${error.message}`,
      );
      unlogged = 0;
    });
}
