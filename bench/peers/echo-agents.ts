// The floor's agents: as many connections and streams, each with its own certificate, answering bytes with bytes and beating
// once a second. With `durable`, each appends 4 KiB to its own file and fdatasyncs it before it replies.
import { fdatasyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { connect } from "@slipway/shared/grpc";
import { type FromAgents, patience, type ToAgents } from "../pool/messages.ts";
import { echoService, kinds, REPLY_BYTES } from "./echo.ts";

const HEARTBEAT_MS = 1_000;
const block = Buffer.alloc(4096, 0x5a);
const say = (kind: number, size: number) => Buffer.alloc(size, kind);
const hello = say(kinds.hello, 200);
const reply = say(kinds.reply, REPLY_BYTES);
const heartbeat = say(kinds.heartbeat, 8);
const tell = (message: FromAgents) => process.send?.(message);
let starts: (() => void)[] = [];
let missing = 0;

function agent(
  address: string,
  { name, tls }: { name: string; tls: Parameters<typeof connect>[1] },
  dir: string,
): void {
  const file = dir === "" ? undefined : openSync(join(dir, name), "a");
  starts.push(() => {
    const { path, requestSerialize, responseDeserialize } = echoService.session;
    const stream: ClientDuplexStream<Buffer, Buffer> = connect(address, tls, patience).makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
    );
    let isWelcome = false;
    stream.on("error", (error) => process.stderr.write(`echo ${name}: ${error.message}\n`));
    stream.on("data", () => {
      if (isWelcome) {
        if (file !== undefined) {
          writeSync(file, block);
          fdatasyncSync(file);
        }
        stream.write(reply);
        return;
      }
      isWelcome = true;
      setTimeout(() => setInterval(() => stream.write(heartbeat), HEARTBEAT_MS), Math.random() * HEARTBEAT_MS);
      if (--missing === 0) tell({ type: "connected" });
    });
    stream.write(hello);
  });
}

process.on("message", (message: ToAgents) => {
  if (message.type === "prepare") {
    const dir = message.durable ? message.dir : "";
    if (dir !== "") mkdirSync(dir, { recursive: true });
    for (const host of message.hosts) agent(message.address, host, dir);
    missing = message.hosts.length;
    tell({ type: "prepared" });
  } else {
    for (const start of starts) start();
    starts = [];
  }
});
process.on("disconnect", () => process.exit(0));
