import type { TlsFiles } from "@slipway/shared/grpc";

/** Hundreds of agents share an event loop here and block each other, as no two hosts can: nobody is to be given up for that. */
export const patience = { keepaliveMs: 3_000, keepaliveTimeoutMs: 30_000 };

/** What the bench tells a process of agents (the product's or the floor's), which answers each with the word beside it. */
export type ToAgents =
  /** `prepared` */
  | {
      type: "prepare";
      address: string;
      dir: string;
      hosts: readonly { name: string; tls: TlsFiles }[];
      durable: boolean;
    }
  /** `connected`, once every one of its agents has heard from the controller */
  | { type: "connect" };

export type FromAgents = { type: "prepared" } | { type: "connected" };
