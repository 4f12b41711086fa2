/** gRPC's status numbers (grpc/status.proto). Spelled out so that the pure core, the page and tests need no gRPC library. */
const status = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

/**
 * The closed set of ways in which Slipway refuses or fails. Each maps to one gRPC status and one exit status
 * (0 done, 1 failed, 2 wrong use, 3 nothing was done), so the same refusal reads the same in CLI, API and page.
 */
export const errorCodes = {
  "bad-input": { grpc: status.INVALID_ARGUMENT, exit: 2 },
  "not-found": { grpc: status.NOT_FOUND, exit: 2 },
  refused: { grpc: status.FAILED_PRECONDITION, exit: 1 },
  conflict: { grpc: status.ABORTED, exit: 1 },
  "not-allowed": { grpc: status.PERMISSION_DENIED, exit: 1 },
  unreachable: { grpc: status.UNAVAILABLE, exit: 1 },
  "timed-out": { grpc: status.DEADLINE_EXCEEDED, exit: 1 },
  "out-of-space": { grpc: status.RESOURCE_EXHAUSTED, exit: 1 },
  internal: { grpc: status.INTERNAL, exit: 1 },
} as const satisfies Record<string, { grpc: number; exit: 1 | 2 }>;

export type ErrorCode = keyof typeof errorCodes;

/** An expected refusal or failure: one line that says what, where, which value, and (in `fix`) what would be right. */
export class SlipwayError extends Error {
  readonly code: ErrorCode;
  readonly fix: string;
  constructor(code: ErrorCode, text: string, options: { fix?: string; cause?: unknown } = {}) {
    super(options.fix ? `${text}; ${options.fix}` : text, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "SlipwayError";
    this.code = code;
    this.fix = options.fix ?? "";
  }
  get exitStatus(): 1 | 2 {
    return errorCodes[this.code].exit;
  }
  /** Turns anything thrown into a SlipwayError; called once, at the edge. */
  static from(thrown: unknown): SlipwayError {
    if (thrown instanceof SlipwayError) return thrown;
    if (isServiceError(thrown)) return new SlipwayError(codeOfStatus(thrown.code), thrown.details, { cause: thrown });
    if (thrown instanceof Error) {
      const full = /ENOSPC|SQLITE_FULL|disk is full/.test(
        `${(thrown as { code?: string }).code ?? ""} ${thrown.message}`,
      );
      return new SlipwayError(full ? "out-of-space" : "internal", thrown.message, { cause: thrown });
    }
    return new SlipwayError("internal", String(thrown));
  }
}

function isServiceError(e: unknown): e is Error & { code: number; details: string } {
  return e instanceof Error && typeof (e as { code?: unknown }).code === "number" && "details" in e;
}

function codeOfStatus(code: number): ErrorCode {
  for (const [name, { grpc }] of Object.entries(errorCodes)) if (grpc === code) return name as ErrorCode;
  if (code === status.UNAUTHENTICATED) return "not-allowed";
  if (code === status.CANCELLED) return "timed-out";
  return "internal";
}
