import { checkServerIdentity as checkName, type PeerCertificate } from "node:tls";
import { type ChannelOptions, Client, credentials, ServerCredentials } from "@grpc/grpc-js";
import { identityOf } from "../tls/identity.ts";

/** PEM texts, not paths. */
export interface TlsFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Keep-alive of a connection. A frozen peer is noticed after at most `keepaliveMs + keepaliveTimeoutMs`. */
export interface ChannelTuning {
  /** Silence after which the peer is asked whether it lives. Default 3000 ms. */
  keepaliveMs?: number;
  /** Time for its answer. Default 2000 ms. */
  keepaliveTimeoutMs?: number;
}

function keepalive(tuning: ChannelTuning): ChannelOptions {
  return {
    "grpc.keepalive_time_ms": tuning.keepaliveMs ?? 3000,
    "grpc.keepalive_timeout_ms": tuning.keepaliveTimeoutMs ?? 2000,
    "grpc.keepalive_permit_without_calls": 1,
  };
}

/**
 * Channel options of a client. Reconnection is kept short: grpc-js waits up to two minutes by default, so that a client
 * came back 15 s after its server did.
 */
export function channelOptions(tuning: ChannelTuning = {}): ChannelOptions {
  return {
    ...keepalive(tuning),
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2000,
    "grpc.max_receive_message_length": 16 * 1024 * 1024,
    // Without its own pool, two clients of one process would share a connection and its fate.
    "grpc.use_local_subchannel_pool": 1,
    // No service config is ever looked up in DNS.
    "grpc.service_config_disable_resolution": 1,
  };
}

/** Server options. 4 MiB a message: the largest legal one, a capped hook report, is far below. */
export function serverOptions(tuning: ChannelTuning = {}): ChannelOptions {
  return {
    ...keepalive(tuning),
    "grpc.max_receive_message_length": 4 * 1024 * 1024,
    "grpc.max_concurrent_streams": 4096,
  };
}

/** Without `certificate` and `key` the client stays unnamed: for enrolment, where the token is the proof. */
export type ClientTls = TlsFiles | Pick<TlsFiles, "ca">;

export function clientCredentials(tls: ClientTls) {
  const ca = Buffer.from(tls.ca);
  if (!("key" in tls)) return credentials.createSsl(ca, null, null, { checkServerIdentity });
  return credentials.createSsl(ca, Buffer.from(tls.key), Buffer.from(tls.certificate), { checkServerIdentity });
}

/** A name is not enough: hosts have certificates as servers too, so the identity has to be a controller's. */
function checkServerIdentity(name: string, certificate: PeerCertificate): Error | undefined {
  const problem = checkName(name, certificate);
  if (problem !== undefined) return problem;
  const role = identityOf(certificate)?.role;
  return role === "controller"
    ? undefined
    : new Error(`its certificate is that of ${role ?? "nobody"}, not of a controller`);
}

/** Server side of mutual TLS; `askClient: false` is for enrolment, where the token is the proof. */
export function serverCredentials(tls: TlsFiles, askClient: boolean): ServerCredentials {
  return ServerCredentials.createSsl(
    Buffer.from(tls.ca),
    [{ private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.certificate) }],
    askClient,
  );
}

/**
 * A client of `address` (`host:port`). The server's certificate must be for the name `controller` whatever the address
 * is: controllers move, and addresses of a lab or a loopback pool are in no certificate.
 */
export function connect(address: string, tls: ClientTls, tuning: ChannelTuning = {}): Client {
  return new Client(address, clientCredentials(tls), {
    ...channelOptions(tuning),
    "grpc.ssl_target_name_override": "controller.slipway.internal",
    "grpc.default_authority": "controller.slipway.internal",
  });
}
