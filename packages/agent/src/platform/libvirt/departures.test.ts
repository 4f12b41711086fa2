import { describe, expect, test } from "vitest";
import { Departures } from "./departures.ts";
import { fixture } from "./testing.ts";

const events = fixture("events-migrated-out.txt");
const soon = 5;

describe("a departure", () => {
  test("is told with what it took, however the output is cut up", async () => {
    for (const size of [1, 7, 100, 100_000]) {
      const departures = new Departures();
      const departure = departures.expect("vm1");
      for (let at = 0; at < events.length; at += size) departures.hear(events.slice(at, at + size));
      expect(await departure.left(soon)).toMatchObject({
        operation: "migrating-out",
        processed: 77_572_909,
        downtimeMs: 404,
      });
    }
  });

  test("is told when nothing follows its account, as where no other guest moves", async () => {
    const departures = new Departures();
    const departure = departures.expect("vm1");
    const account = events.slice(events.indexOf("event 'job-completed'"));
    const whole = account.slice(0, account.search(/\n(?!\t)/) + 1);
    departures.hear(`event 'lifecycle' for domain 'vm1': Stopped Migrated\n${whole}`);
    expect(await departure.left(1_000)).toMatchObject({ processed: 77_572_909, downtimeMs: 404 });
  });

  test("is waited for", async () => {
    const departures = new Departures();
    const left = departures.expect("vm1").left(10_000);
    departures.hear(events);
    expect(await left).toBeDefined();
  });

  test.each([
    ["of another guest", events.replaceAll("'vm1'", "'vm2'")],
    ["before it was expected", ""],
    ["that did not end the guest here", events.replace("Stopped Migrated", "Resumed Unpaused")],
    ["whose account is of something else", events.replace("operation: 5", "operation: 2")],
    ["whose account is cut off", events.slice(0, events.indexOf("memory_bps"))],
    ["that a name tells of", `${events.replaceAll("'vm1'", "'vm1': Stopped Migrated'")}`],
  ])("%s is none", async (_what, text) => {
    const departures = new Departures();
    if (text === "") departures.hear(events);
    const departure = departures.expect("vm1");
    departures.hear(text);
    expect(await departure.left(soon)).toBeUndefined();
  });

  test("that nobody asks after is not kept", async () => {
    const departures = new Departures();
    departures.expect("vm1").close();
    departures.hear(events);
    expect(await departures.expect("vm1").left(soon)).toBeUndefined();
  });
});
