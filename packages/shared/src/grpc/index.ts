export {
  type CallBounds,
  Client,
  type Handlers,
  implementation,
  openServerStream,
  openStream,
  serviceDefinition,
  toStatus,
  type UnaryClient,
  unaryClient,
} from "./adapter.ts";
export {
  type ChannelTuning,
  type ClientTls,
  channelOptions,
  clientCredentials,
  connect,
  serverCredentials,
  serverOptions,
  type TlsFiles,
} from "./channel.ts";
