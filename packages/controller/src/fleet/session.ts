import type { ToAgent } from "./convert.ts";
import type { Status, StatusObject } from "./status.ts";

/** What is written to an agent that does not read may pile up to this many bytes, about; then its session is cut. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;

/** The stream of a session, as grpc-js gives it. */
export interface SessionCall {
  write(message: ToAgent, done: () => void): boolean;
  emit(event: "error", status: StatusObject): boolean;
  end(): void;
}

/** The controller's end of one agent's stream. */
export class Session {
  readonly host: string;
  readonly incarnation: string;
  readonly #call: SessionCall;
  readonly #onCut: (session: Session) => void;
  #acks: bigint[] = [];
  #backlog = 0;
  #closed = false;
  readonly #refreshes = new Map<bigint, () => void>();
  #nonce = 0n;
  /** Time of the last sign of life, on the clock of the silence watch. */
  heardAt = 0;

  /** `onCut` is called when the session is ended because its stream does not drain. */
  constructor(host: string, incarnation: string, call: SessionCall, onCut: (session: Session) => void) {
    this.host = host;
    this.incarnation = incarnation;
    this.#call = call;
    this.#onCut = onCut;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** `bytes` is the weight of what the message carries besides its envelope. */
  send(message: ToAgent, bytes = 0): void {
    if (this.#closed) return;
    const weight = 128 + bytes;
    this.#backlog += weight;
    this.#call.write(message, () => {
      this.#backlog -= weight;
    });
    if (this.#backlog > MAX_BACKLOG_BYTES) this.#onCut(this);
  }

  /** The report is durable; the acknowledgement goes out with the others of this turn. */
  ack(outboxId: bigint): void {
    if (outboxId !== 0n) this.#acks.push(outboxId);
  }

  sendAcks(): void {
    if (this.#acks.length === 0) return;
    const outboxIds = this.#acks;
    this.#acks = [];
    this.send({ message: { case: "ack", value: { outboxIds } } }, outboxIds.length * 4);
  }

  /** Asks the agent to look at its hooks now. False when it did not answer in time. */
  refreshHooks(timeoutMs: number): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false);
    const nonce = ++this.#nonce;
    return new Promise((resolve) => {
      const end = (answered: boolean) => {
        clearTimeout(timer);
        this.#refreshes.delete(nonce);
        resolve(answered);
      };
      const timer = setTimeout(() => end(false), timeoutMs);
      this.#refreshes.set(nonce, () => end(!this.#closed));
      this.send({ message: { case: "refreshHooks", value: { nonce } } });
    });
  }

  hooksRefreshed(nonce: bigint): void {
    this.#refreshes.get(nonce)?.();
  }

  /** Ends the stream; with a status, as an error. */
  close(status?: { code: Status; details: string }): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#acks = [];
    for (const done of [...this.#refreshes.values()]) done();
    if (status) this.#call.emit("error", { code: status.code, details: status.details });
    else this.#call.end();
  }
}
