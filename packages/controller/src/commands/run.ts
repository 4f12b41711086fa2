import { createLogger } from "@slipway/shared/log";
import { createNotifier } from "@slipway/shared/notifier";
import { type RunningController, startController } from "../controller.ts";
import { statusLine } from "./report.ts";

/** Longest time that stopping may take, in milliseconds; then the process ends as it is: nothing acknowledged can be lost. */
const STOP_MS = 1_900;
/** How often the status for systemd is made anew, in milliseconds. */
const STATUS_EVERY_MS = 1_000;

/** Runs a controller in the foreground until SIGTERM or SIGINT. Errors: see `startController`. */
export async function runController(options: { dir: string; listen?: string; enrolListen?: string }): Promise<void> {
  const log = createLogger("slipway-controller");
  const notifier = createNotifier();
  let statusDueMs = 0;
  let running: RunningController | undefined;
  const ticked = () => {
    const nowMs = performance.now();
    if (running !== undefined && nowMs >= statusDueMs) {
      statusDueMs = nowMs + STATUS_EVERY_MS;
      notifier.status(statusLine(running.registry.entries(), running.coordinator.active()));
    }
    notifier.watchdog();
  };
  const controller = await startController({ ...options, log, ticked });
  running = controller;
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = (signal: string) => {
    log.info(`${signal}: stopping`);
    notifier.stopping();
    setTimeout(() => process.exit(0), STOP_MS).unref();
    controller.stop().then(resolve, (thrown) => {
      log.error(`stopping: ${(thrown as Error).message}`);
      process.exit(1);
    });
  };
  // Whatever is not foreseen ends the process: what is durable is whole, and the next start reads it.
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, `ended by a fault: ${error.message}`);
    process.exit(1);
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop(signal));
  const { listen, enrolListen } = controller;
  log.info({ listen, enrolListen }, "ready");
  notifier.ready();
  await promise;
}
