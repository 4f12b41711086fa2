import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type AgentCommand,
  commandTo,
  type EffectRef,
  isActionName,
  isStepName,
  keyFrom,
  resultFrom,
  type StepResult,
  stateFrom,
  type ToAgent,
} from "@slipway/controller/internals";
import { agentWire } from "@slipway/shared/wire";

/** The controller's end of the wire, out of its own conversions. */
export function commandMessage(command: AgentCommand): agentWire.SessionResponse {
  return toAgentMessage(commandTo(command));
}

export function toAgentMessage(message: ToAgent): agentWire.SessionResponse {
  return create(agentWire.SessionResponseSchema, message);
}

export function ackMessage(outboxId: bigint): agentWire.SessionResponse {
  return create(agentWire.SessionResponseSchema, { message: { case: "ack", value: { outboxIds: [outboxId] } } });
}

export function welcomeMessage(heartbeatIntervalMs: number): agentWire.SessionResponse {
  const value = { controller: "controller", controllerVersion: "0", heartbeatIntervalMs };
  return create(agentWire.SessionResponseSchema, { message: { case: "welcome", value } });
}

export type Reported =
  | { readonly state: "unknown" | "accepted"; readonly ref: EffectRef }
  | { readonly state: "ended"; readonly ref: EffectRef; readonly result: StepResult };

/** What an agent reports, as the coordinator takes it. */
export function reportOfWire(report: agentWire.StepReport): Reported {
  const key = keyFrom(report.key);
  if (typeof key === "string") throw new Error(`the controller does not understand the agent: ${key}`);
  const { step } = key;
  if (!isStepName(step) && !isActionName(step)) throw new Error(`the controller does not know the step ${step}`);
  const ref: EffectRef = { run: key.run, host: key.host, step, attempt: key.attempt };
  const state = stateFrom(report.state);
  if (state === undefined) throw new Error(`the controller does not know the state ${report.state}`);
  if (state !== "ended") return { state, ref };
  const result = resultFrom(report);
  if (typeof result === "string") throw new Error(`the controller does not understand the agent: ${result}`);
  return { state, ref, result };
}

/** A request as it arrives: through the bytes of the wire when asked for, which costs time. */
export function requestMessage(
  init: MessageInitShape<typeof agentWire.SessionRequestSchema>,
  throughBytes: boolean,
): agentWire.SessionRequest {
  const message = create(agentWire.SessionRequestSchema, init);
  return throughBytes
    ? fromBinary(agentWire.SessionRequestSchema, toBinary(agentWire.SessionRequestSchema, message))
    : message;
}

export function responseMessage(message: agentWire.SessionResponse, throughBytes: boolean): agentWire.SessionResponse {
  return throughBytes
    ? fromBinary(agentWire.SessionResponseSchema, toBinary(agentWire.SessionResponseSchema, message))
    : message;
}
