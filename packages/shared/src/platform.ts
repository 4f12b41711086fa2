import type * as health from "./gen/slipway/agent/v1/health_pb.ts";
import type * as platform from "./gen/slipway/agent/v1/platform_pb.ts";

/**
 * A message of the wire as plain data. Inventories and health are the same facts at both ends, so both ends use the wire's own
 * shapes, without what belongs to the serialisation; a received message fits as it is.
 */
export type Plain<T> = T extends string | number | bigint | boolean | Uint8Array | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Plain<Item>[]
    : { readonly [K in keyof T as Exclude<K, "$typeName" | "$unknown">]: Plain<T[K]> };

/** Its age goes with the message that tells it. */
export type Inventory = Omit<Plain<platform.PlatformInventory>, "ageMs">;
export type HostCapacity = Plain<platform.HostCapacity>;
export type Instance = Plain<platform.Instance>;
export type Disk = Plain<platform.Disk>;
export type InstanceLook = Plain<platform.InstanceLook>;
export type MoveOptions = Plain<platform.MoveOptions>;
export type StoragePool = Plain<platform.StoragePool>;
export type SystemHealth = Plain<health.SystemHealth>;
export type QuorumSet = Plain<health.QuorumSet>;
export type QuorumMember = Plain<health.QuorumMember>;

/** What can be done to an instance; the first half of the step's name, "move:UUID". */
export const instanceVerbs = {
  admit: "this host makes room for it",
  withdraw: "it does not come after all, and its room is free again",
  move: "it is live-migrated away",
  stop: "it is shut down by its own system",
  save: "its memory is saved to disk and it stops",
  start: "it is started",
  resume: "it runs on after a pause",
  discard: "the stopped leftover of it is removed",
  look: "what is known of it is asked",
} as const satisfies Record<string, string>;
export type InstanceVerb = keyof typeof instanceVerbs;

/** What can be done to a service of the host. */
export const serviceVerbs = {
  "service-stop": "it is stopped, once its guard allows it",
  "service-start": "it is started and found well",
  "service-check": "it is looked at",
} as const satisfies Record<string, string>;
export type ServiceVerb = keyof typeof serviceVerbs;

export const UUID_PATTERN = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Names of probes and services in step names. */
export const SUBJECT_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,126}[A-Za-z0-9])?$/;
