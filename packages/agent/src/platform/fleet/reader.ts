import { type Answer, fail, oneLine, Unreadable } from "../../probes/answer.ts";
import { type UnitState as LocalUnit, readUnits, showUnits } from "../../probes/systemd/probe.ts";
import type { Machinery } from "./local.ts";
import {
  listingArgs,
  listings,
  type Machine,
  readMachines,
  readUnitFiles,
  readUnitStates,
  UNIT_PATTERN,
  type UnitFile,
  type UnitState,
} from "./tables.ts";
import { type Requirements, readRequirements } from "./unit-file.ts";

/** What fleet and this host's systemd say at one moment. */
export interface Picture {
  /** Id of this machine. */
  readonly machine: string;
  /** fleetd runs here. If not, it has no units here, and the lists are empty. */
  readonly isRunning: boolean;
  readonly machines: readonly Machine[];
  /** By unit. */
  readonly files: ReadonlyMap<string, UnitFile>;
  readonly states: readonly UnitState[];
  /** Units that fleetd has loaded here, by the word of systemd. */
  readonly local: ReadonlyMap<string, LocalUnit>;
  /** Of units that are here. */
  readonly requirements: ReadonlyMap<string, Requirements>;
}

const DAEMON = "fleet.service";
const DEADLINE_MS = 20_000;
/** Units that are asked for at once. */
const CATS = 4;

/** Reads fleet, and remembers texts of units: they change only with their hash. */
export class FleetReader {
  readonly #machinery: Machinery;
  readonly #known = new Map<string, { readonly hash: string; readonly requirements: Requirements }>();
  #version = "";

  constructor(machinery: Machinery) {
    this.#machinery = machinery;
  }

  /** What `fleetctl version` said; empty before it was asked. */
  get version(): string {
    return this.#version;
  }

  fleetctl(args: readonly string[]): Promise<Answer> {
    return this.#machinery.run(["fleetctl", ...args], { timeoutMs: DEADLINE_MS });
  }

  /** Throws an Unreadable when anything of it cannot be read: half a picture would look like units that are gone. */
  async read(): Promise<Picture> {
    const machine = (await this.#machinery.machineId()).trim();
    if (!/^[0-9a-f]{32}$/.test(machine)) fail(`/etc/machine-id holds ${JSON.stringify(oneLine(machine, 60))}`);
    const loaded = (await this.#machinery.loaded()).filter((name) => UNIT_PATTERN.test(name) && isService(name));
    const asked = [DAEMON, ...loaded];
    const answer = await this.#machinery.run(showUnits(asked), { timeoutMs: DEADLINE_MS });
    const told = readUnits(answer, asked);
    const local = new Map(asked.map((unit, n) => [unit, told[n] as LocalUnit]));
    const daemon = local.get(DAEMON);
    if (daemon === undefined || daemon.load === "not-found") return fail(`this host has no ${DAEMON}`);
    local.delete(DAEMON);
    const nothing = { machines: [], files: new Map(), states: [], requirements: new Map() };
    switch (daemon.active) {
      case "inactive":
      case "failed":
        // fleetctl is not asked then: fleet.socket would start the daemon again.
        return { ...nothing, machine, isRunning: false, local };
      case "active":
      case "reloading":
        return { ...(await this.#ask(machine, local)), machine, isRunning: true, local };
      default:
        return fail(`${DAEMON} is ${daemon.active}`);
    }
  }

  async #ask(machine: string, local: ReadonlyMap<string, LocalUnit>) {
    const [machineList, fileList, stateList] = await Promise.all(
      [listings.machines, listings.files, listings.states].map((one) => this.fleetctl(listingArgs(one))),
    );
    const machines = readMachines(machineList as Answer);
    const files = new Map(readUnitFiles(fileList as Answer).map((file) => [file.unit, file]));
    const states = readUnitStates(stateList as Answer);
    if (!machines.some(({ id }) => id === machine))
      fail(`fleet does not count this machine (${machine}) among its own`);
    const here = [...files.values()].filter(
      ({ unit, machine: at }) =>
        at === machine || local.has(unit) || states.some((s) => s.unit === unit && s.machine === machine),
    );
    if (this.#version === "") this.#version = oneLine((await this.fleetctl(["version"])).stdout, 60);
    return { machines, files, states, requirements: await this.#requirements(here) };
  }

  async #requirements(files: readonly UnitFile[]): Promise<ReadonlyMap<string, Requirements>> {
    const wanted = files.filter(({ unit }) => isService(unit));
    const missing = wanted.filter(({ unit, hash }) => this.#known.get(unit)?.hash !== hash);
    for (let at = 0; at < missing.length; at += CATS)
      await Promise.all(
        missing.slice(at, at + CATS).map(async ({ unit, hash }) => {
          const requirements = readRequirements(await this.fleetctl(["cat", unit]), unit, hash);
          this.#known.set(unit, { hash, requirements });
        }),
      );
    for (const unit of [...this.#known.keys()]) if (!files.some((file) => file.unit === unit)) this.#known.delete(unit);
    return new Map(
      wanted.map(({ unit }) => [unit, (this.#known.get(unit) as { requirements: Requirements }).requirements]),
    );
  }
}

/** Instances are services; timers, mounts and the like are none. */
export function isService(unit: string): boolean {
  return unit.endsWith(".service");
}

/** What went wrong with a reading, for people. Anything but what it says itself is a mistake of this program. */
export function problemOf(thrown: unknown): string {
  if (thrown instanceof Unreadable) return thrown.message;
  return `fleet: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
}
