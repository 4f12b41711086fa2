import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseRequests } from "./requests.ts";
import { noRequests } from "./verdict.ts";

describe("the requests of a hook", () => {
  it("are the last lines of each key; the unknown is ignored", () => {
    expect(
      parseRequests(
        "reboot=required\nrerun=after-reboot\nprogress=10\nfuture=1\nno line\nprogress=40%\nmessage=a\nmessage=b = c\nskip= disk busy \r\n",
      ),
    ).toEqual({
      requests: { rebootRequired: true, rerunAfterReboot: true, skip: "disk busy", message: "b = c" },
      progress: { percent: 40, message: "b = c" },
    });
  });
  it("can be taken back", () => {
    expect(parseRequests("reboot=required\nreboot=\nskip=x\nskip=\n").requests).toEqual(noRequests);
  });
  it("keep to their bounds", () => {
    expect(parseRequests("progress=250").progress.percent).toBe(100);
    expect(parseRequests("progress=-1\nprogress=many").progress.percent).toBeUndefined();
    expect(parseRequests(`message=\u001b[31m${"x".repeat(5000)}`).requests.message).toMatch(/^\[31mx{995,}$/);
  });
  it("are understood or ignored, whatever is written", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const { requests, progress } = parseRequests(text);
        expect(requests.message).not.toMatch(/\p{Cc}/u);
        expect(progress.percent ?? 0).toBeLessThanOrEqual(100);
      }),
    );
  });
});
