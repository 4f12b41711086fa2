import { expect } from "vitest";
import { type Pool, type Report, until } from "./kit.ts";
import { assertRanOn, type Counter, counter, counts, domainsOf, type Guest, lastWords } from "./lib/guests.ts";
import { CONTROLLER, putFile } from "./lib/slipway.ts";

// What tests of evacuation ask: of libvirt on every host, of the guests' own counters, and only then of Slipway.

/** What Slipway says it did with one instance, as `report --format json` prints it. */
export interface InstanceReport {
  readonly name: string;
  readonly verb: string;
  readonly purpose: string;
  readonly from: string;
  readonly to: string;
  readonly outcome: string;
  readonly reason: string;
  readonly downtimeMs: number;
}

/** As `plan --json` prints it. */
export interface Plan {
  readonly moves: number;
  /** Fewest moves that there can be. */
  readonly floor: number;
  readonly blockers: readonly { readonly text: string; readonly subject: string; readonly fix: string }[];
  readonly waves: readonly {
    readonly hosts: readonly {
      readonly host: string;
      readonly instances: readonly { readonly name: string; readonly action: string; readonly host: string }[];
    }[];
  }[];
}

/** Has the agents give libvirt their own certificates in place of the lab's, as on a real hypervisor. */
export async function certify(pool: Pool): Promise<void> {
  const script = [
    "sed -i '/^tls_allowed_dn_list/d' /etc/libvirt/libvirtd.conf",
    "rm -r /etc/pki/libvirt /etc/pki/CA",
    "slipway-agent libvirt-tls",
  ];
  await Promise.all(pool.hosts.map((host) => pool.lab.sh(host, script.join(" && "))));
}

/** Puts a pool file in force. */
export async function applyPool(pool: Pool, text: string): Promise<void> {
  putFile(pool.lab, CONTROLLER, "/etc/slipway/pool.yaml", text);
  const { status, stdout, stderr } = await pool.slipway("pool", "apply", "/etc/slipway/pool.yaml");
  if (status !== 0) throw new Error(`pool apply: ${stdout}${stderr}`);
}

export async function planOf(pool: Pool, ...args: string[]): Promise<Plan> {
  const { stdout, stderr } = await pool.slipway("--json", "plan", ...args);
  try {
    return JSON.parse(stdout) as Plan;
  } catch {
    throw new Error(`plan ${args.join(" ")}: ${stdout}${stderr}`);
  }
}

/** Where a guest is by what each libvirt that is up says: `hv1 running`; several when it is in several places. */
export async function placesOf(pool: Pool): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const { name: host, state } of await pool.lab.status()) {
    if (state !== "up" || !pool.hosts.includes(host)) continue;
    for (const [guest, how] of await domainsOf(pool.lab, host))
      found[guest] = [...(found[guest] ?? []), `${host} ${how}`];
  }
  return found;
}

/** The one host on which a guest is, running; an error when it is nowhere, off, or anywhere else too. */
export async function homeOf(pool: Pool, guest: Guest, how = "running"): Promise<string> {
  const places = (await placesOf(pool))[guest.name] ?? [];
  const [only] = places;
  if (places.length !== 1 || !only?.endsWith(` ${how}`))
    throw new Error(`${guest.name} is not ${how} on one host, but: ${places.join(", ") || "nowhere"}`);
  return only.slice(0, only.indexOf(" "));
}

/** Waits until Slipway's own picture has the guests where libvirt has them. */
export async function isKnown(pool: Pool, ...guests: readonly Guest[]): Promise<void> {
  const where = await placesOf(pool);
  const isSo = async () => {
    const list = await instancesOf(pool);
    return guests.every(({ name }) =>
      list.some((i) => i.name === name && where[name]?.includes(`${i.host} ${i.state}`)),
    );
  };
  await until(`Slipway knows where ${guests.map((g) => g.name).join(", ")} are`, isSo, 60_000, 250);
}

export interface Listed {
  readonly name: string;
  readonly host: string;
  readonly state: string;
  readonly generation: number;
}

/** With states in virsh's words. */
export async function instancesOf(pool: Pool): Promise<Listed[]> {
  const { stdout } = await pool.slipway("--json", "instance", "list");
  const { instances } = JSON.parse(stdout) as {
    instances: { host: string; facts: { name: string; state: string; generation: number } }[];
  };
  return instances.map(({ host, facts: { name, state, generation } }) => ({
    ...{ name, host, generation },
    state: state === "shutoff" ? "shut off" : state,
  }));
}

/** Waits until the memory of a guest is on its way, by libvirt's account on the host that it leaves. */
export async function isLeaving(pool: Pool, guest: Guest, host: string): Promise<void> {
  await until(
    `${guest.name} leaves ${host}`,
    async () => {
      const { stdout } = await pool.lab.exec(host, ["virsh", "domjobinfo", guest.name]);
      return /Operation: +Outgoing migration/.test(stdout) && /Data processed: +[1-9]/.test(stdout);
    },
    60_000,
    200,
  );
}

/** Starts a drain or a restore, and leaves it; the run's id. */
export async function begin(pool: Pool, ...words: readonly string[]): Promise<string> {
  const { stdout, stderr } = await pool.slipway("--json", ...words, "--detach");
  try {
    return (JSON.parse(stdout) as { run: string }).run;
  } catch {
    throw new Error(`${words.join(" ")} --detach: ${stdout}${stderr}`);
  }
}

export function movesOf(report: Report): InstanceReport[] {
  return report.hosts.flatMap((h) => (h as { instances?: InstanceReport[] }).instances ?? []);
}

export type Counts = Map<Guest, Counter | undefined>;

/** What guests have counted to. */
export function countersOf(guests: readonly Guest[]): Counts {
  return new Map(guests.map((guest) => [guest, counter(guest)]));
}

/** All of them still count, and none was started again. `story`: what had happened, for the error. */
export async function ranOn(before: Counts, story = ""): Promise<void> {
  await Promise.all(
    [...before].map(async ([guest, was]) => {
      try {
        assertRanOn(was, await counts(guest));
      } catch (thrown) {
        const said = `it said: ${lastWords(guest) || "nothing"}`;
        throw new Error(`${guest.name}: ${(thrown as Error).message}\n${said}\n${story}`, { cause: thrown });
      }
    }),
  );
}

/** Nothing of any run is left: no cordon, no open entry of the ledger. */
export async function nothingLeft(pool: Pool): Promise<void> {
  const { stdout } = await pool.slipway("--json", "host", "list");
  const { hosts } = JSON.parse(stdout) as { hosts: { name: string; connected: boolean; cordoned: boolean }[] };
  expect(hosts.map((h) => [h.name, h.connected, h.cordoned])).toEqual(pool.hosts.map((name) => [name, true, false]));
  expect((JSON.parse((await pool.slipway("--json", "ledger")).stdout) as { entries: unknown[] }).entries).toEqual([]);
}
