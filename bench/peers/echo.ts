import type { ServiceDefinition } from "@grpc/grpc-js";

/** Sizes of what is sent to a stream and answered, in bytes. */
export const COMMAND_BYTES = 200;
export const REPLY_BYTES = 64;
/** First byte of what an agent says. */
export const kinds = { hello: 1, reply: 2, heartbeat: 3 } as const;

const asIs = (bytes: Buffer) => bytes;
const bytes = {
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
} as const;

/** Bare streams of bytes: no protobuf, no state, nothing stored. */
export const echoService = {
  session: { path: "/bench.Echo/Session", requestStream: true, responseStream: true, ...bytes },
  /** Sends a command on every stream and answers when the last reply is in. */
  round: { path: "/bench.Echo/Round", requestStream: false, responseStream: false, ...bytes },
} as const satisfies ServiceDefinition;
