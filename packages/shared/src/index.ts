export { type ErrorCode, errorCodes, SlipwayError } from "./errors.ts";
export { MAX_PAYLOAD_BYTES, MAX_WORD_BYTES, splitPayload } from "./payload.ts";
export {
  type Disk,
  type HostCapacity,
  type Instance,
  type InstanceLook,
  type InstanceVerb,
  type Inventory,
  instanceVerbs,
  type MoveOptions,
  type Plain,
  type QuorumMember,
  type QuorumSet,
  type ServiceVerb,
  type StoragePool,
  SUBJECT_PATTERN,
  type SystemHealth,
  serviceVerbs,
  UUID_PATTERN,
} from "./platform.ts";
export { durationText, naturalCompare, nearest } from "./text.ts";
export {
  defaults,
  EXIT_AVOID,
  keyText,
  NAME_PATTERN,
  PROTOCOL_VERSION,
  type Stage,
  type StepKey,
  stages,
  type Verdict,
  verdicts,
} from "./words.ts";
