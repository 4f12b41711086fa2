import { describe, expect, test } from "vitest";
import { defaultPool } from "../domain/pool.ts";
import { noQuorum } from "../domain/quorum.ts";
import { MAX_POOL_LENGTH, parsePool, readPool } from "./pool.ts";

const problems = (text: string) => readPool(text).problems.map((p) => `${p.line}: ${p.text}; ${p.fix}`);

describe("a pool file", () => {
  test.each(["", "# nothing\n", "capacity:\nmigration:\ninstances:\n", "instances: []\n", "{}"])(
    "that lays nothing down has the defaults: %j",
    (text) => {
      expect(readPool(text)).toEqual({ pool: defaultPool, quorum: noQuorum, problems: [] });
    },
  );

  test("says everything that it may say", () => {
    const text = `
capacity: { cpuOvercommit: 2.5, memoryOvercommit: 1, spareHosts: 1 }
migration:
  perHost: 4
  perTarget: 3
  perCluster: 12
  bandwidthMib: 500
  downtime: 300ms
  autoConverge: true
  postCopy: false
  stuck: 90
  timeout: 2h
  attempts: 2
instances:
  - { match: db-1, policy: shutdown-restart, weight: 100, tier: -1, group: shop, apart: db, home: hv1, requires: [ssd, zone=z1] }
  - { match: 7, policy: leave, requires: ssd }
  - match: "*"
`;
    expect(readPool(text)).toEqual({
      pool: {
        capacity: { cpuOvercommit: 2.5, memoryOvercommit: 1, spareHosts: 1 },
        migration: {
          perHost: 4,
          perTarget: 3,
          perCluster: 12,
          bandwidthMib: 500,
          downtimeMs: 300,
          autoConverge: true,
          postCopy: false,
          stuckMs: 90_000,
          timeoutMs: 7_200_000,
          attempts: 2,
        },
        instances: [
          {
            match: "db-1",
            policy: "shutdown-restart",
            weight: 100,
            tier: -1,
            group: "shop",
            apart: "db",
            home: "hv1",
            requires: ["ssd", "zone=z1"],
          },
          { match: "7", policy: "leave", requires: ["ssd"] },
          { match: "*" },
        ],
      },
      quorum: noQuorum,
      problems: [],
    });
  });

  test("parses to what it reads", () => {
    expect(parsePool("pool.yaml", "capacity: { spareHosts: 2 }").pool.capacity.spareHosts).toBe(2);
  });
});

describe("what is wrong is told with its line, its value and what would be right", () => {
  test.each([
    ["capacity: [", /^1: not valid YAML: .*; correct that line$/],
    ["a: 1\na: 2", /^2: not valid YAML: /],
    ["just words", /^1: the file: "just words" is no map; write keys such as instances:$/],
    ["capacty: {}", /^1: key "capacty" is unknown; did you mean "capacity"\?$/],
    ["nonsense: {}", /^1: key "nonsense" is unknown; the keys are capacity, migration, instances, probes,/],
    ["\ncapacity:\n  spareHost: 1", /^3: key "capacity.spareHost" is unknown; did you mean "spareHosts"\?$/],
    ["capacity: 4", /^1: capacity: 4 is no map; write keys such as cpuOvercommit: 4$/],
    ["capacity: { cpuOvercommit: 0 }", /^1: capacity.cpuOvercommit: 0; write a number from 0.1 to 64$/],
    ["capacity: { cpuOvercommit: four }", /^1: capacity.cpuOvercommit: "four"; write a number from 0.1 to 64$/],
    ["capacity: { cpuOvercommit: .nan }", /^1: capacity.cpuOvercommit: /],
    ["capacity: { spareHosts: 0.5 }", /^1: capacity.spareHosts: 0.5; write a whole number from 0 to 100$/],
    ["capacity: { spareHosts: }", /^1: capacity.spareHosts: nothing; write a whole number/],
    ["migration:\n  perhost: 2", /^2: key "migration.perhost" is unknown; did you mean "perHost"\?$/],
    ["migration:\n  perHost: 0", /^2: migration.perHost: 0; write a whole number from 1 to 64$/],
    ["migration: { stuckMs: 1 }", /^1: key "migration.stuckMs" is unknown; did you mean "stuck"\?$/],
    ["migration: { stuck: 10 minutes }", /^1: migration.stuck: "10 minutes"; write a duration from 1s to 1h, such as/],
    ["migration: { timeout: 8760h }", /^1: migration.timeout: "8760h"; write a duration from 1s to 168h, such as/],
    ["migration: { postCopy: 1 }", /^1: migration.postCopy: 1; write true or false$/],
    ['migration: { autoConverge: "yes" }', /^1: migration.autoConverge: "yes"; write true or false$/],
    ["instances: { match: x }", /^1: instances: a map is no list; write rules such as/],
    ["instances: [db]", /^1: instances\[1\]: "db" is no map; write keys such as/],
    ["instances:\n  - policy: leave", /^2: instances\[1\]: there is no match; say which instances it is for/],
    ["instances:\n  - match: [a]", /^2: instances\[1\].match: a list; write the name of an instance/],
    ['instances:\n  - match: "a\\nb"', /^2: instances\[1\].match: "a\\nb"; write the name of an instance/],
    ["instances: [{ match: a, polcy: leave }]", /^1: key "instances\[1\].polcy" is unknown; did you mean "policy"\?$/],
    [
      "instances: [{ match: a, policy: migrat }]",
      /^1: instances\[1\].policy: "migrat" is not known; did you mean "migrate"\?$/,
    ],
    ["instances: [{ match: a, policy: kill }]", /"kill" is not known; choose migrate, migrate-with-storage, /],
    ["instances: [{ match: a, weight: -1 }]", /^1: instances\[1\].weight: -1; write a number from 0 to/],
    ["instances: [{ match: a, tier: 1.5 }]", /^1: instances\[1\].tier: 1.5; write a whole number from -100 to 100$/],
    ["instances: [{ match: a, group: a b }]", /^1: instances\[1\].group: "a b"; write letters, digits/],
    ["instances: [{ match: a, home: hv/1 }]", /^1: instances\[1\].home: "hv\/1"; write letters, digits/],
    [
      "instances: [{ match: a, requires: [a=b=c] }]",
      /^1: instances\[1\].requires\[1\]: "a=b=c"; write a label as name, or/,
    ],
    [
      "instances: [{ match: a, requires: { a: b } }]",
      /^1: instances\[1\].requires: a map is no list; write a list of labels/,
    ],
    [
      "instances:\n  - match: a\n  - match: a",
      /^3: instances\[2\]: match "a" never applies, the rule in line 2 takes all of it/,
    ],
    [
      'instances:\n  - match: "*"\n  - match: b',
      /^3: instances\[2\]: match "b" never applies, the rule in line 2 takes/,
    ],
    ["capacity: &c { spareHosts: 1 }\nmigration: *c", /^2: migration: an alias is no map/],
  ])("%j", (text, expected) => {
    expect(problems(text)).toEqual([expect.stringMatching(expected)]);
  });

  test("all of it, in order of lines", () => {
    expect(
      problems("instances: [{ match: a, tier: x }]\nmigration: { perHost: y }\ncapacity: { zzz: 1 }").map((p) => p[0]),
    ).toEqual(["1", "2", "3"]);
  });

  test("a file that is too large is not even read", () => {
    expect(problems(`# ${"x".repeat(MAX_POOL_LENGTH)}`)).toEqual([
      expect.stringMatching(/larger than 524288 characters/),
    ]);
  });

  test("who can only take a whole file gets the first with the number of others", () => {
    expect(() => parsePool("p.yaml", "\nzzz: 1\ncapacity: { spareHosts: x }")).toThrow(
      /^p\.yaml:2: key "zzz" is unknown \(and 1 more, see slipway pool check\); the keys are/,
    );
  });
});
