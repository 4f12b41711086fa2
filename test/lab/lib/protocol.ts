// What keeper, supervisor and the tool say to each other.

/** Where a lab's files are, in its own mount namespace only. */
export const LAB_DIR = "/run/lab";

export interface HostStatus {
  readonly name: string;
  readonly address: string;
  readonly state: "off" | "booting" | "up";
  /** Its PID 1 as the lab's pid namespace counts; 0 when it is off. */
  readonly leader: number;
  readonly boots: number;
  readonly isolated: boolean;
}

/** What hosts are beyond bare Debian systems. All of it runs on `hypervisors`, none of it elsewhere. */
export interface Features {
  /** libvirt and QEMU, storage shared by all of them, guests (see guests.ts). */
  readonly libvirt?: boolean;
  /** An etcd cluster on the first three. */
  readonly etcd?: boolean;
  /** A GlusterFS pool of the first three, with the volumes `rep3` and `arb`. */
  readonly gluster?: boolean;
}

export interface LabSettings {
  readonly name: string;
  /** Names of the hosts; the first address is the first one's. */
  readonly hosts: readonly string[];
  readonly checkout: string;
  readonly packages: readonly string[];
  readonly binds: readonly string[];
  readonly firmwareMs: number;
  readonly diskMiB: number;
  readonly features?: Features;
  /** Those of the hosts that get the features. */
  readonly hypervisors?: readonly string[];
  /** With libvirt: the directory of the guests' kernel, see guest-kernel.ts. */
  readonly kernel?: string;
}

/** What the keeper passes on from the control socket. */
export interface Request {
  readonly id: number;
  readonly command: string;
  readonly host?: string;
  readonly stayDown?: boolean;
}

export interface Reply {
  readonly id: number;
  readonly error?: string;
  readonly hosts?: readonly HostStatus[];
}
