import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createAuthority, issueWithNewKey } from "@slipway/shared/tls";
import type { operatorWire } from "@slipway/shared/wire";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fingerprintOfFile, makeKey, Sshd, sshdProgram, writeStubs } from "../testing/sshd.ts";
import { SshConnection, type SshOptions } from "./connection.ts";
import { findIdentities } from "./identity.ts";
import { type Done, type JoinApi, type JoinOptions, joinHost } from "./join.ts";
import { leaveHost } from "./leave.ts";
import { Machine } from "./machine.ts";

if (sshdProgram === undefined) console.log("skipped: there is no sshd that can be run here");

const user = userInfo().username;
let dir: string;
let sshd: Sshd;
let bastion: Sshd;
let ca: string;
const stub = (name: string) => join(dir, "stub", name);
const at = (name: string) => join(dir, name);
const write = (path: string, text: string) => writeFileSync(path, text);

beforeAll(async () => {
  if (sshdProgram === undefined) return;
  dir = mkdtempSync(join(tmpdir(), "slipway-sshd-"));
  makeKey(at("key"));
  makeKey(at("locked"), "open sesame");
  makeKey(at("stranger"));
  write(at("authorized"), `${readFileSync(at("key.pub"), "utf8")}${readFileSync(at("locked.pub"), "utf8")}`);
  writeStubs(at("bin"));
  const options = { authorized: at("authorized"), bin: at("bin"), env: { STUB: at("stub") } };
  sshd = await Sshd.start(at("sshd"), options);
  bastion = await Sshd.start(at("bastion"), options);
  for (const name of ["slipway-agent_0.2.0_amd64", "slipway-runtime_24.21.0_amd64"]) {
    mkdirSync(at("debs"), { recursive: true });
    write(join(at("debs"), `${name}.deb`), `content of ${name}`);
  }
});
afterAll(async () => {
  await sshd?.stop();
  await bastion?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

let open: SshConnection[] = [];
beforeEach(async () => {
  if (sshdProgram === undefined) return;
  mkdirSync(stub("root"), { recursive: true });
  write(stub("arch"), "amd64\n");
  write(at("known_hosts"), sshd.knownHost);
  const authority = await createAuthority("test");
  ca = authority.ca;
  const { certificate } = await issueWithNewKey(authority, { identity: { role: "agent", name: "hv7" } });
  write(stub("agent.pem"), certificate);
  write(stub("ca.pem"), ca);
});
afterEach(() => {
  for (const ssh of open) ssh.close();
  open = [];
  if (dir) rmSync(at("stub"), { recursive: true, force: true });
});

async function connect(change: Partial<SshOptions> = {}, identity = at("key")): Promise<SshConnection> {
  const ssh = await SshConnection.open({
    target: { user, host: "127.0.0.1", port: sshd.port },
    jump: undefined,
    identities: await findIdentities([identity], {}, change.ask),
    pins: [],
    knownHosts: [at("known_hosts")],
    ask: undefined,
    ...change,
  });
  open.push(ssh);
  return ssh;
}
async function machine(): Promise<Machine> {
  const where = { properties: stub("root/agent.properties"), token: stub("root/token"), stateDir: stub("root/state") };
  return new Machine(await connect(), where);
}

/** A controller that sees the agent as soon as the stubs say that it runs with a certificate. */
class Controller implements JoinApi {
  tokens = 0;
  heartbeats = 0n;
  async host(name: string) {
    if (!existsSync(stub("root/state/tls/agent.pem"))) return undefined;
    const connected = existsSync(stub("active"));
    if (connected) this.heartbeats++;
    return { name, connected, lastHeartbeatMs: this.heartbeats, agentVersion: "0.2.0" } as operatorWire.FleetHost;
  }
  async createToken() {
    this.tokens++;
    return { token: `slw1.token${this.tokens}`, enrolPort: 7444 };
  }
}
async function join1(controller: JoinApi, change: Partial<JoinOptions> = {}) {
  const progress: Done[] = [];
  const options: JoinOptions = {
    ...{ name: undefined, labels: "cluster=c1", controllers: undefined, enrol: undefined },
    ...{ ownControllers: ["10.0.0.5:7443"], ca, allowPush: false, rejoin: false },
    ...{ packages: [], packageDirs: [at("debs")], isLocal: false, waitMs: 5_000 },
    ...change,
  };
  const { host } = await joinHost(await machine(), controller, options, (done) => progress.push(done));
  return { host, steps: progress.map(({ step }) => step) };
}
const calls = () => (existsSync(stub("calls")) ? readFileSync(stub("calls"), "utf8").trim().split("\n") : []);
const properties = () => readFileSync(stub("root/agent.properties"), "utf8");

describe.skipIf(sshdProgram === undefined)("joining a host", { timeout: 60_000 }, () => {
  test("installs, configures, enrols, starts and waits; a second time nothing is touched", async () => {
    const controller = new Controller();
    expect(await join1(controller, { allowPush: true })).toEqual({
      host: "hv7",
      steps: ["install", "configure", "enrol", "start", "wait"],
    });
    expect(properties()).toBe(
      `#slipway.controllers=\nslipway.controllers=10.0.0.5:7443\nrolling.maintenance.hooks.dir=/etc/slipway/hooks.d\nslipway.host=hv7\nslipway.labels=cluster=c1\nslipway.hooks.push=true\nslipway.enrol=10.0.0.5:7444\nslipway.token.file=${stub("root/token")}\n`,
    );
    expect(readFileSync(stub("used-token"), "utf8")).toBe("slw1.token1\n");
    expect(statSync(stub("used-token")).mode & 0o777).toBe(0o600);
    expect(statSync(stub("root/agent.properties")).mode & 0o777).toBe(0o644);
    const [install = "", ...rest] = calls();
    expect(install).toMatch(
      /^dpkg --force-confold -i (\/tmp\/slipway-\w+)\/slipway-runtime_24\.21\.0_amd64\.deb \1\/slipway-agent_0\.2\.0_amd64\.deb$/,
    );
    expect(existsSync(install.split(" ")[3]?.replace(/\/[^/]+$/, "") ?? "")).toBe(false);
    expect(rest).toEqual(["systemctl enable --quiet slipway-agent.service", "systemctl restart slipway-agent.service"]);

    const before = calls();
    expect(await join1(controller)).toEqual({ host: "hv7", steps: [] });
    expect(calls()).toEqual(before);
    expect(controller.tokens).toBe(1);
    expect(await join1(controller, { labels: "cluster=c2" })).toMatchObject({ steps: ["configure", "start", "wait"] });
    expect(properties()).toContain("slipway.labels=cluster=c2\n");
    expect(properties()).toContain("slipway.hooks.push=true\n");
  });

  test("goes on after each failure where it was", async () => {
    const controller = new Controller();
    write(stub("dpkg-fails"), "");
    await expect(join1(controller)).rejects.toThrow(
      /install failed with status 2: dpkg: error: dpkg frontend lock is held/,
    );
    rmSync(stub("dpkg-fails"));
    write(stub("start-fails"), "");
    await expect(join1(controller)).rejects.toThrow(
      /slipway-agent did not start: slipway-agent: slipway.token.file is not set; correct that/,
    );
    rmSync(stub("start-fails"));
    expect(await join1(controller)).toMatchObject({ steps: ["enrol", "start", "wait"] });
  });

  test("says why when the agent does not connect", async () => {
    const never: JoinApi = { host: async () => undefined, createToken: async () => ({ token: "t", enrolPort: 1 }) };
    await expect(join1(never, { waitMs: 400 })).rejects.toThrow(
      /did not connect within 400 ms: slipway-agent: slipway\.token/,
    );
  });

  test("does not wait for a service that systemd has given up", async () => {
    const never: JoinApi = { host: async () => undefined, createToken: async () => ({ token: "t", enrolPort: 1 }) };
    write(stub("skipped"), "");
    await expect(join1(never, { waitMs: 8_000 })).rejects.toThrow(
      /slipway-agent does not run: slipway-agent: slipway\.token/,
    );
  });

  test("keeps what the operator has set, but not over an option", async () => {
    write(
      stub("root/agent.properties"),
      "slipway.controllers=internal:7443\nslipway.enrol=internal:7444\nslipway.host=kvm-7\nmine=1\nrolling.maintenance.hooks.dir=/srv/hooks\n",
    );
    const { host } = await join1(new Controller(), { labels: undefined });
    expect(host).toBe("kvm-7");
    expect(properties()).toMatch(
      /^slipway\.controllers=internal:7443\nslipway\.enrol=internal:7444\nslipway\.host=kvm-7\nmine=1\nrolling\.maintenance\.hooks\.dir=\/srv\/hooks\n/,
    );
  });

  test("options of the controller's address win; an address of this machine is refused to another one", async () => {
    await expect(join1(new Controller(), { ownControllers: ["127.0.0.1:7443"] })).rejects.toThrow(
      /cannot reach that address.*--controller/,
    );
    expect(calls()).toEqual([]);
    await join1(new Controller(), { controllers: ["c1.example:7443", "c2.example:7443"], enrol: "c1.example:99" });
    expect(properties()).toContain("slipway.controllers=c1.example:7443,c2.example:7443\n");
    expect(properties()).toContain("slipway.enrol=c1.example:99\n");
  });

  test("a user who is not root needs sudo", async () => {
    write(stub("uid"), "1000\n");
    expect(await join1(new Controller())).toMatchObject({ steps: ["install", "configure", "enrol", "start", "wait"] });
    expect(calls().filter((call) => call.startsWith("sudo -n -- sh -c ")).length).toBeGreaterThan(5);
    write(stub("no-sudo"), "");
    await expect(join1(new Controller())).rejects.toThrow(
      /may not act as root; log in as root, or let that user use sudo/,
    );
  });

  test("a machine without dpkg is refused", async () => {
    write(stub("arch"), "");
    await expect(join1(new Controller())).rejects.toThrow(/there is no dpkg/);
  });

  test("leaving: the controller first, then service and package; a second time nothing, another host never", async () => {
    await join1(new Controller());
    await expect(
      leaveHost(
        await machine(),
        "hv8",
        async () => ({}),
        () => {},
      ),
    ).rejects.toThrow(/is host hv7/);
    const refused = leaveHost(
      await machine(),
      "hv7",
      async () => {
        throw new Error("run r1 has it");
      },
      () => {},
    );
    await expect(refused).rejects.toThrow("run r1 has it");
    expect(existsSync(stub("active"))).toBe(true);
    const done = await leaveHost(
      await machine(),
      "hv7",
      async () => ({}),
      () => {},
    );
    expect(done.map(({ step }) => step)).toEqual(["forget", "stop", "uninstall"]);
    expect(calls().slice(-2)).toEqual([
      "systemctl disable --now --quiet slipway-agent.service",
      "dpkg --remove slipway-agent",
    ]);
    expect(
      await leaveHost(
        await machine(),
        "hv7",
        async () => undefined,
        () => {},
      ),
    ).toEqual([]);
  });
});

describe.skipIf(sshdProgram === undefined)("logging in", { timeout: 60_000 }, () => {
  test("an unknown host key is refused in a script, accepted by its fingerprint, never by another", async () => {
    write(at("known_hosts"), "");
    const fingerprint = fingerprintOfFile(`${sshd.hostKey}.pub`);
    await expect(connect()).rejects.toThrow(`is not known here; compare it with`);
    await expect(connect()).rejects.toThrow(`--host-key ${fingerprint}`);
    expect((await connect({ pins: [fingerprint] })).fingerprint).toBe(fingerprint);
    const other = fingerprintOfFile(`${bastion.hostKey}.pub`);
    await expect(connect({ pins: [other] })).rejects.toThrow(/is not the one given with --host-key/);
    expect(readFileSync(at("known_hosts"), "utf8")).toBe("");
  });

  test("at a terminal it is asked for and remembered", async () => {
    const file = at("new/known_hosts");
    const questions: string[] = [];
    let answer = "no";
    const ask = async (question: string) => {
      questions.push(question);
      return answer;
    };
    await expect(connect({ knownHosts: [file], ask })).rejects.toThrow(/host key was not accepted/);
    expect(existsSync(file)).toBe(false);
    answer = "yes";
    await connect({ knownHosts: [file], ask });
    expect(questions).toHaveLength(2);
    expect(questions[0]).toContain(fingerprintOfFile(`${sshd.hostKey}.pub`));
    expect(readFileSync(file, "utf8")).toBe(sshd.knownHost);
    await connect({ knownHosts: [file] });
    rmSync(at("new"), { recursive: true });
  });

  test("a changed or revoked key is refused, whoever sits there", async () => {
    const key = bastion.knownHost.slice(bastion.knownHost.indexOf(" "));
    write(at("known_hosts"), `[127.0.0.1]:${sshd.port}${key}`);
    const ask = async () => "yes";
    await expect(connect({ ask })).rejects.toThrow(/is not the one in .*known_hosts:1: another machine/);
    write(at("known_hosts"), sshd.knownHost);
    appendFileSync(at("known_hosts"), `@revoked ${sshd.knownHost}`);
    await expect(connect({ ask })).rejects.toThrow(/revoked in .*known_hosts:2/);
  });

  test("through a jump host, whose key is verified as well", async () => {
    const jump = { user, host: "127.0.0.1", port: bastion.port };
    await expect(connect({ jump })).rejects.toThrow(
      new RegExp(`127\\.0\\.0\\.1:${bastion.port}: its .* is not known here`),
    );
    appendFileSync(at("known_hosts"), bastion.knownHost);
    const ssh = await connect({ jump });
    expect(ssh.fingerprint).toBe(fingerprintOfFile(`${sshd.hostKey}.pub`));
    expect((await ssh.run('echo "$1"', ["through"])).stdout).toBe("through\n");
    write(at("known_hosts"), bastion.knownHost);
    await expect(connect({ jump })).rejects.toThrow(
      new RegExp(`127\\.0\\.0\\.1:${sshd.port}: its .* is not known here`),
    );
  });

  test("a key that is not accepted, and a port where nobody listens, in one line", async () => {
    await expect(connect({}, at("stranger"))).rejects.toThrow(
      /none of the keys is accepted \(tried .*stranger\); give --identity/,
    );
    await expect(connect({ target: { user, host: "127.0.0.1", port: 1 } })).rejects.toThrow(
      /cannot be reached \(ECONNREFUSED\)/,
    );
  });

  test("a key with a passphrase is asked for at a terminal only", async () => {
    await expect(connect({}, at("locked"))).rejects.toThrow(/has a passphrase, and there is no terminal/);
    const answers = ["wrong", "open sesame"];
    const hiddens: boolean[] = [];
    await connect(
      {
        ask: async (_question, hidden) => {
          hiddens.push(hidden);
          return answers.shift() ?? "";
        },
      },
      at("locked"),
    );
    expect(hiddens).toEqual([true, true]);
  });

  test("with ssh-agent", async () => {
    const socket = at("agent.sock");
    const agent: ChildProcess = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    try {
      for (let i = 0; i < 100 && !existsSync(socket); i++) await sleep(20);
      execFileSync("ssh-add", ["-q", at("key")], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: "ignore" });
      const identities = await findIdentities([], { SSH_AUTH_SOCK: socket }, undefined);
      await connect({ identities });
    } finally {
      const ended = new Promise((resolve) => agent.once("exit", resolve));
      agent.kill();
      await ended;
    }
    await expect(findIdentities([], {}, undefined)).rejects.toThrow(/there is no key to log in with/);
  });

  test("text of an operator is data to the remote shell", async () => {
    const ssh = await connect();
    const nasty = `'; touch ${at("pwned")}; echo $(id) \`id\` "\\n" $HOME *\nsecond line`;
    expect((await ssh.run('printf "%s|" "$@"', [nasty, ""])).stdout).toBe(`${nasty}||`);
    expect(existsSync(at("pwned"))).toBe(false);
  });

  test("a command has a deadline, and its output a cap", async () => {
    const ssh = await connect();
    await expect(ssh.run("sleep 30", [], { deadlineMs: 200 })).rejects.toThrow(/did not end within 0\.2 s/);
    const { stdout, status } = await ssh.run("head -c 2000000 /dev/zero; exit 3");
    expect([stdout.length, status]).toEqual([256 * 1024, 3]);
    expect((await ssh.run("cat", [], { stdin: "x".repeat(100_000) })).stdout).toHaveLength(100_000);
  });
});
