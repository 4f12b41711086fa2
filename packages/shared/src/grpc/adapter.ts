import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { errorCodes, SlipwayError } from "../errors.ts";

/** Binds a protobuf-es message description to the Buffer functions that grpc-js wants. */
function codec<D extends DescMessage>(schema: D) {
  return {
    serialize: (value: MessageInitShape<D>): Buffer => {
      const bytes = toBinary(schema, create(schema, value));
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    deserialize: (bytes: Buffer): MessageShape<D> => fromBinary(schema, bytes),
  };
}

function methodDefinition(method: DescMethod): MethodDefinition<unknown, unknown> {
  const input = codec(method.input);
  const output = codec(method.output);
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: input.serialize as (value: unknown) => Buffer,
    requestDeserialize: input.deserialize,
    responseSerialize: output.serialize as (value: unknown) => Buffer,
    responseDeserialize: output.deserialize,
  };
}

/** The grpc-js service definition of a generated service, keyed by local method name. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  for (const method of service.methods) definition[method.localName] = methodDefinition(method);
  return definition;
}

/** What a server implements: unary methods return (or reject with a SlipwayError), streams get the call. */
export type Handlers<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends DescMethodUnary<infer I, infer O>
    ? (
        request: MessageShape<I>,
        call: ServerUnaryCall<MessageShape<I>, MessageInitShape<O>>,
      ) => MessageInitShape<O> | Promise<MessageInitShape<O>>
    : S["method"][K] extends DescMethodServerStreaming<infer I, infer O>
      ? (call: ServerWritableStream<MessageShape<I>, MessageInitShape<O>>) => void
      : S["method"][K] extends DescMethodBiDiStreaming<infer I, infer O>
        ? (call: ServerDuplexStream<MessageShape<I>, MessageInitShape<O>>) => void
        : never;
};

/** gRPC status object of an error; anything unexpected becomes INTERNAL without its stack. */
export function toStatus(thrown: unknown): { code: number; details: string } {
  const error = SlipwayError.from(thrown);
  // HTTP/2 trailers hold the text percent-encoded; a bounded text keeps them well inside every peer's header limit.
  return { code: errorCodes[error.code].grpc, details: error.message.slice(0, 2000) };
}

/** Turns typed handlers into what `Server.addService` takes. */
export function implementation<S extends DescService>(service: S, handlers: Handlers<S>): UntypedServiceImplementation {
  const out: UntypedServiceImplementation = {};
  for (const method of service.methods) {
    const handler = (handlers as Record<string, (...args: unknown[]) => unknown>)[method.localName];
    if (handler === undefined) throw new Error(`no handler for ${service.typeName}.${method.name}`);
    if (method.methodKind === "unary") {
      const unary: handleUnaryCall<unknown, unknown> = (call, callback) => {
        Promise.resolve()
          .then(() => handler(call.request, call))
          .then(
            (value) => callback(null, value),
            (thrown) => callback(toStatus(thrown)),
          );
      };
      out[method.localName] = unary;
    } else {
      out[method.localName] = (call: unknown) => {
        try {
          handler(call);
        } catch (thrown) {
          (call as ServerWritableStream<unknown, unknown>).emit("error", toStatus(thrown));
        }
      };
    }
  }
  return out;
}

/** Every call needs a bound: gRPC has none by default. */
export interface CallBounds {
  /** Milliseconds until the call is given up. */
  deadlineMs: number;
  signal?: AbortSignal;
}

export type UnaryClient<S extends DescService> = {
  [K in keyof S["method"] as S["method"][K] extends DescMethodUnary
    ? K
    : never]: S["method"][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, bounds: CallBounds) => Promise<MessageShape<O>>
    : never;
};

/** Promise client for the unary methods of a service. */
export function unaryClient<S extends DescService>(client: Client, service: S): UnaryClient<S> {
  const out: Record<string, unknown> = {};
  for (const method of service.methods) {
    if (method.methodKind !== "unary") continue;
    const d = methodDefinition(method);
    out[method.localName] = (request: unknown, bounds: CallBounds) =>
      new Promise((resolve, reject) => {
        const options: CallOptions = { deadline: Date.now() + bounds.deadlineMs };
        const call = client.makeUnaryRequest(
          d.path,
          d.requestSerialize,
          d.responseDeserialize,
          request,
          new Metadata(),
          options,
          (error, value) => (error ? reject(SlipwayError.from(error)) : resolve(value)),
        );
        bounds.signal?.addEventListener("abort", () => call.cancel(), { once: true });
      });
  }
  return out as UnaryClient<S>;
}

/** Opens a bidirectional stream; it lives until one side ends it. */
export function openStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodBiDiStreaming<I, O>,
): ClientDuplexStream<MessageInitShape<I>, MessageShape<O>> {
  const d = methodDefinition(method);
  return client.makeBidiStreamRequest(
    d.path,
    d.requestSerialize,
    d.responseDeserialize,
    new Metadata(),
  ) as ClientDuplexStream<MessageInitShape<I>, MessageShape<O>>;
}

/** Opens a server stream; it lives until one side ends it. */
export function openServerStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
): ClientReadableStream<MessageShape<O>> {
  const d = methodDefinition(method);
  return client.makeServerStreamRequest(
    d.path,
    d.requestSerialize,
    d.responseDeserialize,
    request,
    new Metadata(),
  ) as ClientReadableStream<MessageShape<O>>;
}

export { Client };
