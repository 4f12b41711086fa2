import { beforeEach, describe, expect, test } from "vitest";
import { noQuorum, type ServiceConfig } from "../../domain/quorum.ts";
import { TestPool } from "../../testing/pool.ts";
import { servicesOf } from "./concern.ts";

const service = (kind: string, name = ""): ServiceConfig => ({ kind, name, settings: {}, timeoutMs: 1_000 });
const rules = (match: string, ...services: ServiceConfig[]) => ({ ...noQuorum, services: [{ match, services }] });
const matched = (match: string, host: string, labels: Record<string, string> = {}) =>
  servicesOf(rules(match, service("etcd")), host, labels).length > 0;

test("the first rule that matches a host's name or label says what is stopped", () => {
  const both = [
    { match: "hv1", services: [service("etcd")] },
    { match: "*", services: [service("gluster"), service("etcd")] },
  ];
  const quorum = { ...noQuorum, services: both };
  expect(servicesOf(quorum, "hv1", {}).map((s) => s.subject)).toEqual(["etcd"]);
  expect(servicesOf(quorum, "hv2", {}).map((s) => s.subject)).toEqual(["gluster", "etcd"]);
});

test.each([
  ["hv*", "hv12", true],
  ["hv*.example.org", "hv1.example.org", true],
  ["hv*.example.org", "hv1xexample.org", false],
  ["worker1", "xworker1", false],
  ["worker1", "worker10", false],
  ["*", "hv1", true],
])("%s and %s", (match, host, expected) => {
  expect(matched(match, host)).toBe(expected);
});

test("a label has to have that very value", () => {
  expect(matched("role=storage", "hv1", { role: "storage" })).toBe(true);
  expect(matched("role=storage", "hv1", { role: "storage2" })).toBe(false);
  expect(matched("role=storage", "hv1")).toBe(false);
});

test("subjects are unique and fit into a step's name", () => {
  const units = ["nfs-server.service", "a:b.service", "a_b.service", "odd@", "nfs-server.service"];
  const quorum = rules("*", ...units.map((name) => service("systemd", name)), service("gluster"));
  const subjects = servicesOf(quorum, "hv1", {}).map((s) => s.subject);
  expect(subjects).toEqual([
    "systemd@nfs-server.service",
    "systemd@a_b.service",
    "systemd@a_b.service.3",
    "systemd@odd",
    "gluster",
  ]);
});

describe("a host whose labels are not known", () => {
  let pool: TestPool;
  beforeEach(() => {
    pool = new TestPool({ hv1: [], hv2: [] });
    Object.assign(pool.host("hv1"), { labels: { role: "storage" }, toldLabels: false });
    pool.quorum = rules("role=storage", service("etcd"));
  });
  const stopped = () => pool.lines.some((l) => /^service etcd: hv1: stopped/.test(l));

  test("is not worked on before it is known what has to stop, not even by a controller that has just come back", () => {
    pool.start(["hv1"]);
    pool.settle(60_000);
    pool.restartController();
    pool.settle(60_000);
    const [host] = pool.coordinator.run("r1")?.hosts ?? [];
    expect(host?.steps.map((s) => s.step)).not.toContain("Maintenance");
    expect(pool.coordinator.run("r1")?.held?.text).toMatch(/services are stopped on hv1 goes by its labels/);
    pool.host("hv1").toldLabels = true;
    pool.coordinator.worldChanged();
    pool.settle();
    expect([pool.report().outcome, stopped()]).toEqual(["succeeded", true]);
  });

  test("can be given up", () => {
    pool.start(["hv1"]);
    pool.settle(60_000);
    pool.coordinator.command("r1", { kind: "abort", now: false, reason: "" }, "alice");
    pool.settle();
    expect([pool.report().outcome, stopped(), pool.report().ledger]).toEqual(["aborted", false, []]);
  });

  test("is known by name where a rule names it first", () => {
    pool.quorum = {
      ...noQuorum,
      services: [...rules("hv1").services, ...rules("role=storage", service("etcd")).services],
    };
    pool.start(["hv1"]);
    pool.settle();
    expect([pool.report().outcome, stopped()]).toEqual(["succeeded", false]);
  });
});
