// The generated messages. This file is the one place where a whole module is passed on: the wire is the public API.
export * as agentWire from "./gen/slipway/agent/v1/agent_pb.ts";
export * as operatorWire from "./gen/slipway/v1/operator_pb.ts";
