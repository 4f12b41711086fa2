import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import type { TlsFiles } from "@slipway/shared/grpc";
import { readSettings, type Settings } from "../../config/settings.ts";
import { chooseExecutor, hasSystemd } from "../../executors/choose.ts";
import { RUNNER } from "../../executors/step-files.ts";
import { isPlainPath, parseLines } from "../../executors/systemd/unit.ts";
import { HooksDirectory } from "../../hooks/directory.ts";
import { readCertificate } from "../../session/certificate.ts";
import {
  checkBootId,
  checkCertificate,
  checkClock,
  checkDisk,
  checkExecutor,
  checkHooks,
  checkJournal,
  checkPrivate,
  checkReach,
  type Finding,
  render,
} from "./checks.ts";
import { examineLibvirt } from "./libvirt.ts";
import { bootId, disk, journal, output, pathFacts, reach } from "./probes.ts";

const REACH_DEADLINE_MS = 5_000;

/** The check of `slipway-agent doctor`, as text; `isGood` when nothing is wrong with this host. */
export async function examine(file: string, nowMs: number = Date.now()): Promise<{ text: string; isGood: boolean }> {
  const findings = await findingsOf(file, nowMs);
  return { text: render(findings), isGood: findings.every((one) => one.state !== "bad") };
}

async function findingsOf(file: string, nowMs: number): Promise<Finding[]> {
  let settings: Settings;
  try {
    settings = readSettings(file);
  } catch (thrown) {
    return [{ state: "bad", check: "properties", text: SlipwayError.from(thrown).message }, checkBootId(bootId())];
  }
  const uid = process.getuid?.() ?? 0;
  const { stateDir, tls } = settings;
  const { identity, files } = identityOf(settings, uid, nowMs);
  const space = await disk(stateDir);
  const [clock, executor, libvirt, ...controllers] = await Promise.all([
    output("timedatectl", ["show", "--property=NTP", "--property=NTPSynchronized"]),
    executorOf(settings, uid),
    examineLibvirt(settings, nowMs),
    ...controllersOf(settings, files),
  ]);
  return [
    { state: "ok", check: "properties", text: `${file}: host ${settings.host}` },
    checkBootId(bootId()),
    ...checkHooks(new HooksDirectory(settings.hooksDir).inventory()),
    checkPrivate("state", pathFacts(stateDir), uid),
    ...(space === undefined ? [] : [checkDisk(stateDir, space.freeBytes, space.type)]),
    checkJournal(join(stateDir, "journal.db"), journal(join(stateDir, "journal.db"))),
    ...(existsSync(tls.key) ? [checkPrivate("key", pathFacts(tls.key), uid)] : []),
    identity,
    checkClock(clock === undefined ? undefined : parseLines(clock), nowMs),
    executor,
    ...libvirt,
    ...controllers,
  ];
}

/** Certificate, key and authority, by the very check that the agent makes at its start. */
function identityOf(
  settings: Settings,
  uid: number,
  nowMs: number,
): { identity: Finding; files: TlsFiles | undefined } {
  const { tls, tokenFile, enrol, host } = settings;
  const check = "certificate";
  if (!existsSync(tls.certificate)) {
    if (tokenFile !== "" && enrol !== "" && existsSync(tokenFile)) {
      const token = checkPrivate(check, pathFacts(tokenFile), uid);
      if (token.state === "bad") return { identity: token, files: undefined };
      return {
        identity: {
          state: "note",
          check,
          text: `${tls.certificate}: not there yet; the agent's start enrols this host`,
        },
        files: undefined,
      };
    }
    const text = `${tls.certificate}: this host is not enrolled; set slipway.enrol and slipway.token.file, and make a token with \`slipway-controller token\``;
    return { identity: { state: "bad", check, text }, files: undefined };
  }
  try {
    const files = readCertificate(tls, host, nowMs);
    const validTo = Date.parse(new X509Certificate(files.certificate).validTo);
    return { identity: checkCertificate(tls.certificate, validTo, nowMs), files };
  } catch (thrown) {
    return { identity: { state: "bad", check, text: SlipwayError.from(thrown).message }, files: undefined };
  }
}

function controllersOf(settings: Settings, files: TlsFiles | undefined): Promise<Finding>[] {
  const { controllers, enrol } = settings;
  if (controllers.length === 0)
    return [
      Promise.resolve({
        state: "bad",
        check: "controller",
        text: "slipway.controllers is not set; set it to host:port",
      }),
    ];
  const ask = async (check: string, address: string) =>
    checkReach(check, address, await reach(address, files, REACH_DEADLINE_MS));
  return [
    ...controllers.map((address) => ask("controller", address)),
    ...(files === undefined && enrol !== "" ? [ask("enrolment", enrol)] : []),
  ];
}

async function executorOf(settings: Settings, uid: number): Promise<Finding> {
  const isSystemdThere = hasSystemd();
  const version = await output("systemctl", ["show", "--property=Version", "--value"]);
  return checkExecutor({
    choice: chooseExecutor(settings, isSystemdThere),
    isSystemdThere,
    systemdVersion: version?.trim() ?? "",
    uid,
    awkwardPath: [settings.stateDir, process.execPath, RUNNER].find((path) => !isPlainPath(path)),
  });
}
