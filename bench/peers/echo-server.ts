// The floor of a fan-out: grpc-js with mutual TLS, echoing bytes. With `durable`, replies are on the disk before they count,
// those that come together in one append and one fdatasync.
import { fdatasyncSync, openSync, writeSync } from "node:fs";
import { Server, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { serverCredentials, serverOptions, type TlsFiles } from "@slipway/shared/grpc";
import { patience } from "../pool/messages.ts";
import { COMMAND_BYTES, echoService, kinds } from "./echo.ts";

interface Start {
  readonly tls: TlsFiles;
  /** Log file; empty for no durability. */
  readonly file: string;
}

const streams = new Set<ServerDuplexStream<Buffer, Buffer>>();
const command = Buffer.alloc(COMMAND_BYTES, 7);
const welcome = Buffer.alloc(32, 1);
let missing = 0;
let finish: (() => void) | undefined;
let log: number | undefined;
let gathered: Buffer[] = [];

function replied(reply: Buffer): void {
  if (log === undefined) {
    count(1);
    return;
  }
  gathered.push(reply);
  if (gathered.length > 1) return;
  setImmediate(() => {
    const replies = gathered;
    gathered = [];
    if (log === undefined) return;
    writeSync(log, Buffer.concat(replies));
    fdatasyncSync(log);
    count(replies.length);
  });
}

function count(replies: number): void {
  missing -= replies;
  if (missing === 0) finish?.();
}

const server = new Server(serverOptions(patience));
server.addService(echoService, {
  session: (call: ServerDuplexStream<Buffer, Buffer>) => {
    streams.add(call);
    const gone = () => streams.delete(call);
    for (const event of ["end", "error", "cancelled"] as const) call.on(event, gone);
    call.on("data", (message: Buffer) => {
      if (message[0] === kinds.hello) call.write(welcome);
      else if (message[0] === kinds.reply) replied(message);
    });
  },
  round: (_: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
    missing = streams.size;
    finish = () => done(null, Buffer.alloc(8));
    for (const stream of streams) stream.write(command);
  },
});
process.on("message", ({ tls, file }: Start) => {
  if (file !== "") log = openSync(file, "a");
  server.bindAsync("127.0.0.1:0", serverCredentials(tls, true), (error, port) => {
    if (error) throw error;
    process.send?.({ type: "listening", port });
  });
});
process.on("disconnect", () => process.exit(0));
