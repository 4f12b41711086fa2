import { destination, type Logger, pino } from "pino";

export type { Logger } from "pino";

/**
 * One JSON line per event on stderr, synchronously: a worker thread could lose the last lines before a reboot.
 * Level from `SLIPWAY_LOG` (trace, debug, info, warn, error), default info.
 */
export function createLogger(name: string): Logger {
  return pino(
    { name, level: process.env["SLIPWAY_LOG"] ?? "info", base: { pid: process.pid } },
    destination({ dest: 2, sync: true }),
  );
}
