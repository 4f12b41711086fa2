import type { Logger } from "@slipway/shared/log";
import type { Coordinator } from "../coordinator/coordinator.ts";
import type { Clock, Roster } from "../coordinator/ports.ts";
import type { QuorumGate } from "../effects/quorum-gate.ts";
import type { CordonMarks } from "../fleet/cordons.ts";
import type { InventoryBook } from "../fleet/inventories.ts";
import type { PingDesk } from "../fleet/pings.ts";
import type { ProbeDesk } from "../fleet/probes.ts";
import type { ProgressBoard } from "../fleet/progress.ts";
import type { PushDesk } from "../fleet/pushes.ts";
import type { Registry } from "../fleet/registry.ts";
import type { AgentSessions } from "../fleet/sessions.ts";
import type { PoolKeeper } from "../pool/keeper.ts";
import type { ControllerStore } from "../store/store.ts";

/** What the API's methods work with. */
export interface ApiPorts {
  readonly coordinator: Coordinator;
  readonly store: ControllerStore;
  readonly registry: Registry;
  readonly sessions: AgentSessions;
  readonly progress: ProgressBoard;
  readonly pings: PingDesk;
  readonly pushes: PushDesk;
  readonly book: InventoryBook;
  readonly roster: Roster;
  readonly keeper: PoolKeeper;
  readonly cordons: CordonMarks;
  readonly probes: ProbeDesk;
  /** The gate over the systems of the pool file. */
  readonly quorum: QuorumGate;
  readonly clock: Clock;
  /** The authority's certificate, PEM. */
  readonly ca: string;
  /** Port for enrolment; 0 before it is bound. */
  readonly enrolPort: () => number;
  readonly log: Logger;
}
