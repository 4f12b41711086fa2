// The generated messages. This file is the one place where whole modules are passed on: the wire is the public API.
export * as agentWire from "./gen/slipway/agent/v1/agent_pb.ts";
export * as healthWire from "./gen/slipway/agent/v1/health_pb.ts";
export * as platformWire from "./gen/slipway/agent/v1/platform_pb.ts";
export * as operatorWire from "./gen/slipway/v1/operator_pb.ts";
