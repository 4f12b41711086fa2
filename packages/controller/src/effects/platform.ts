import type { EffectResult, Platform } from "../coordinator/ports.ts";

const nothing = (_host: string, done: (r: EffectResult) => void) => {
  setImmediate(() => done({ ok: true, reason: "" }));
};

/** The platform `none`: hosts without instances, so that there is nothing to move. A cordon is the controller's word only. */
export const noPlatform: Platform = { cordon: nothing, uncordon: nothing, drain: nothing, restore: nothing };
