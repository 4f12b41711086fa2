import { randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { SlipwayError } from "@slipway/shared";
import { implementation, serverCredentials, serviceDefinition, type TlsFiles } from "@slipway/shared/grpc";
import { type Authority, createAuthority, fingerprint, formatToken, issue, issueWithNewKey } from "@slipway/shared/tls";
import { agentWire } from "@slipway/shared/wire";

type Stream = ServerDuplexStream<agentWire.SessionRequest, MessageInitShape<typeof agentWire.SessionResponseSchema>>;
type Response = NonNullable<MessageInitShape<typeof agentWire.SessionResponseSchema>["message"]>;

/** As much of a controller as an agent sees, on loopback. */
export class FakeController {
  readonly requests: agentWire.SessionRequest[] = [];
  acknowledges = true;
  welcomes = true;
  sessions = 0;
  #stream: Stream | undefined;
  #servers: Server[] = [];
  #usedTokens = new Set<string>();
  readonly #authority: Authority;
  readonly #own: TlsFiles;
  address = "";
  enrolment = "";

  static async start(): Promise<FakeController> {
    const authority = await createAuthority("test");
    const own = await issueWithNewKey(authority, {
      identity: { role: "controller", name: "controller" },
      dnsNames: ["controller.slipway.internal"],
    });
    const controller = new FakeController(authority, { ca: authority.ca, ...own });
    await controller.listen();
    return controller;
  }

  constructor(authority: Authority, own: TlsFiles) {
    this.#authority = authority;
    this.#own = own;
  }

  /** Listens, on the same ports as before if it did. */
  async listen(): Promise<void> {
    const agents = new Server();
    agents.addService(
      serviceDefinition(agentWire.AgentService),
      implementation(agentWire.AgentService, { session: (stream) => this.#session(stream) }),
    );
    const enrolments = new Server();
    enrolments.addService(
      serviceDefinition(agentWire.EnrolmentService),
      implementation(agentWire.EnrolmentService, {
        enrol: async (request) => {
          if (this.#usedTokens.has(request.tokenId))
            throw new SlipwayError("not-allowed", "token: used already", { fix: "make a new one" });
          this.#usedTokens.add(request.tokenId);
          const identity = { role: "agent", name: request.host } as const;
          return { certificatePem: await issue(this.#authority, request.csrPem, { identity }), caPem: this.#own.ca };
        },
      }),
    );
    this.#servers = [agents, enrolments];
    this.address = await this.#bind(agents, this.address, true);
    // The enrolment port shows its authority in the chain: that is what the token's fingerprint is compared with.
    this.enrolment = await this.#bind(enrolments, this.enrolment, false);
  }

  #bind(server: Server, address: string, askClient: boolean): Promise<string> {
    const { ca, certificate, key } = this.#own;
    const credentials = serverCredentials({ ca, key, certificate: certificate + ca }, askClient);
    return new Promise((resolve, reject) =>
      server.bindAsync(address || "127.0.0.1:0", credentials, (error, port) =>
        error ? reject(error) : resolve(`127.0.0.1:${port}`),
      ),
    );
  }

  #session(stream: Stream): void {
    this.sessions++;
    this.#stream = stream;
    stream.on("error", () => {});
    stream.on("end", () => stream.end());
    stream.on("data", (request: agentWire.SessionRequest) => {
      this.requests.push(request);
      const { message } = request;
      if (message.case === "hello" && this.welcomes)
        this.send({ case: "welcome", value: { controller: "test", controllerVersion: "0", heartbeatIntervalMs: 200 } });
      if (message.case === "report" && message.value.outboxId > 0n && this.acknowledges)
        this.send({ case: "ack", value: { outboxIds: [message.value.outboxId] } });
    });
  }

  send(message: Response): void {
    this.#stream?.write({ message });
  }

  startStep(step: string, attempt = 1, args: string[] = []): void {
    const key = { run: "r1", host: "hv1", step, attempt };
    if (step === "noop") this.send({ case: "start", value: { key, spec: { case: "noop", value: {} } } });
    else if (step === "reboot")
      this.send({ case: "start", value: { key, spec: { case: "reboot", value: { timeoutMs: 1000n } } } });
    else {
      const value = { stage: step, args, timeoutMs: 60_000n, graceMs: 500n };
      this.send({ case: "start", value: { key, spec: { case: "hook", value } } });
    }
  }

  token(): string {
    const id = randomBytes(6).toString("hex");
    return formatToken({ id, secret: randomBytes(24).toString("hex"), fingerprint: fingerprint(this.#own.ca) });
  }

  issueFor(host: string, role: "agent" | "viewer" = "agent") {
    return issueWithNewKey(this.#authority, { identity: { role, name: host } });
  }

  get ca(): string {
    return this.#own.ca;
  }

  reports(step: string): agentWire.StepReport[] {
    return this.requests.flatMap(({ message }) =>
      message.case === "report" && message.value.key?.step === step ? [message.value] : [],
    );
  }

  ended(step: string): agentWire.StepReport | undefined {
    return this.reports(step).find((report) => report.state === agentWire.StepState.ENDED);
  }

  stop(): void {
    for (const server of this.#servers.splice(0)) server.forceShutdown();
  }
}
