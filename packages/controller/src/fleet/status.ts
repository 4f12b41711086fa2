/** The gRPC statuses with which sessions end (see the wire's documentation of `Session`). */
export const status = {
  invalidArgument: 3,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  internal: 13,
  unavailable: 14,
} as const;
export type Status = (typeof status)[keyof typeof status];

export interface StatusObject {
  readonly code: number;
  readonly details: string;
}
