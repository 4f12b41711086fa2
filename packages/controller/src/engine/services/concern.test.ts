import { expect, test } from "vitest";
import { noQuorum, type ServiceConfig } from "../../domain/quorum.ts";
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
