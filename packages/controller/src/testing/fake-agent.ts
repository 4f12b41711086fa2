import type { MessageInitShape } from "@bufbuild/protobuf";
import { PROTOCOL_VERSION } from "@slipway/shared";
import { connect, openStream, type TlsFiles } from "@slipway/shared/grpc";
import { agentWire, type platformWire } from "@slipway/shared/wire";

type Report = MessageInitShape<typeof agentWire.StepReportSchema>;
export type ToController = MessageInitShape<typeof agentWire.SessionRequestSchema>;

export type Picture = MessageInitShape<typeof platformWire.PlatformInventorySchema>;

export interface FakeAgentOptions {
  readonly address: string;
  readonly host: string;
  readonly tls: TlsFiles;
  readonly labels?: Record<string, string>;
  readonly protocol?: number;
  readonly hooks?: readonly { stage: string; file: string; sha256: string; problem: string }[];
  /** It takes pushed hooks. Default false. */
  readonly takesPushes?: boolean;
  /** Hash that it tells of its hooks directory at first. */
  readonly hooksHash?: string;
  /** What it answers to pushed hooks; undefined: nothing. Default: it has them now. */
  readonly pushed?: () => { problem?: string; changed?: boolean; replaced?: string } | undefined;
  /** How a step ends; undefined: not yet. Default ok. */
  readonly answer?: (start: agentWire.StartStep) => Report | undefined;
  /** What it tells of its platform at first; undefined: a host without instances. */
  readonly inventory?: Picture;
  /** 0: none. Default 50. */
  readonly heartbeatMs?: number;
}

export const goodHooks = ["PreFlight", "Maintenance"].map((stage) => ({
  stage,
  file: `/hooks/${stage}`,
  sha256: "00",
  problem: "",
}));

/** An agent for tests: keeps results by key, repeats what is not acknowledged, as the real one does. */
export class FakeAgent {
  readonly #options: FakeAgentOptions;
  readonly #client;
  readonly #stream;
  readonly #heartbeat: NodeJS.Timeout | undefined;
  #hooks: readonly { stage: string; file: string; sha256: string; problem: string }[];
  /** Ends by key: outlives a session when it is handed to the next agent. */
  readonly ended: Map<string, Report>;
  readonly started: string[] = [];
  readonly acked = new Set<bigint>();
  readonly received: agentWire.SessionResponse[] = [];
  /** Hash that it tells of its hooks directory. */
  hooksHash: string;
  #nextId = 1n;
  #seq = 0;
  #picture: Picture = {};
  /** Holder of the mark that it was told to keep. */
  cordonedBy = "";
  /** How the stream ended; undefined while it is open. */
  status: { code: number; details: string } | undefined;

  constructor(options: FakeAgentOptions, ended: Map<string, Report> = new Map()) {
    this.#options = options;
    this.ended = ended;
    this.#hooks = options.hooks ?? goodHooks;
    this.hooksHash = options.hooksHash ?? "";
    this.#client = connect(options.address, options.tls);
    this.#stream = openStream(this.#client, agentWire.AgentService.method.session);
    this.#stream.on("data", (m: agentWire.SessionResponse) => this.#hear(m));
    this.#stream.on("error", () => {});
    this.#stream.on("status", (status: { code: number; details: string }) => {
      this.status = status;
    });
    const every = options.heartbeatMs ?? 50;
    const beat = () => this.send({ message: { case: "heartbeat", value: { inventorySeq: this.#seq } } });
    if (every > 0) this.#heartbeat = setInterval(beat, every);
    this.send({
      message: {
        case: "hello",
        value: {
          protocol: options.protocol ?? PROTOCOL_VERSION,
          host: options.host,
          agentVersion: "0.0.0",
          bootId: "boot-1",
          incarnation: `i${Math.random()}`,
          labels: options.labels ?? { cluster: "c1" },
          hooks: this.#inventory(),
          kernel: "6.1",
          nodeVersion: "24",
          executor: "simulated",
        },
      },
    });
    this.tell(options.inventory ?? { platform: "none" });
  }

  /** Tells what is on its host now. */
  tell(picture: Picture): void {
    const value = { ...picture, seq: ++this.#seq } as Picture;
    this.send({
      message: { case: "inventory", value: { ...value, cordonedBy: picture.cordonedBy ?? this.cordonedBy } },
    });
    this.#picture = picture;
  }

  setHooks(hooks: FakeAgentOptions["hooks"]): void {
    this.#hooks = hooks ?? [];
  }

  send(message: ToController): void {
    if (this.status === undefined) this.#stream.write(message);
  }

  report(report: Report): bigint {
    const outboxId = this.#nextId++;
    this.send({ message: { case: "report", value: { ...report, outboxId } } });
    return outboxId;
  }

  close(): void {
    clearInterval(this.#heartbeat);
    this.#stream.cancel();
    this.#client.close();
  }

  #inventory(nonce = 0n) {
    const push = this.#options.takesPushes ?? false;
    return { dir: "/hooks", hooks: this.#hooks.map((h) => ({ ...h })), nonce, hash: this.hooksHash, push };
  }

  #hear(response: agentWire.SessionResponse): void {
    this.received.push(response);
    const { message } = response;
    switch (message.case) {
      case "start":
        this.#start(message.value);
        return;
      case "query": {
        const { key } = message.value;
        const end = this.ended.get(keyOf(key));
        const value = end ?? { ...(key ? { key } : {}), state: agentWire.StepState.ACCEPTED };
        this.send({ message: { case: "report", value: { ...value, outboxId: 0n } } });
        return;
      }
      case "ack":
        for (const id of message.value.outboxIds) this.acked.add(id);
        return;
      case "setCordon":
        if (this.cordonedBy === message.value.holder) return;
        this.cordonedBy = message.value.holder;
        this.tell(this.#picture);
        return;
      case "refreshHooks":
        this.send({ message: { case: "hooks", value: this.#inventory(message.value.nonce) } });
        return;
      case "pushHooks": {
        const { nonce, hash } = message.value;
        const answer = this.#options.pushed ? this.#options.pushed() : { changed: this.hooksHash !== hash };
        if (answer === undefined) return;
        if (!answer.problem) this.hooksHash = hash;
        this.send({ message: { case: "hooksPushed", value: { nonce, hooks: this.#inventory(), ...answer } } });
        return;
      }
      default:
    }
  }

  #start(start: agentWire.StartStep): void {
    const { key } = start;
    if (!key) return;
    const id = keyOf(key);
    const known = this.ended.get(id);
    if (known) {
      this.report(known);
      return;
    }
    if (!this.started.includes(id)) this.started.push(id);
    this.report({ key, state: agentWire.StepState.ACCEPTED });
    const answer = this.#options.answer ?? (() => ({}));
    const end = answer(start);
    if (end === undefined) return;
    const inspect = start.spec.case === "inspect" ? { hooks: this.#inventory() } : {};
    const full = { key, state: agentWire.StepState.ENDED, verdict: agentWire.Verdict.OK, ...inspect, ...end };
    this.ended.set(id, full);
    this.report(full);
  }
}

export function keyOf(key: agentWire.StepKey | undefined): string {
  return key ? `${key.run}/${key.host}/${key.step}/${key.attempt}` : "";
}
