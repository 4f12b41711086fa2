import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Capture } from "./capture.ts";

function capture(keepBytes: number, ...chunks: (string | Buffer)[]): Capture {
  const c = new Capture(keepBytes);
  for (const chunk of chunks) c.add(Buffer.from(chunk));
  return c;
}

describe("a capture", () => {
  it("keeps what fits as it is", () => {
    expect(capture(4, "ab", "cdef", "gh").text()).toBe("abcdefgh");
  });
  it("marks the cut on one line of its own", () => {
    expect(capture(4, "abcdefghij").text()).toBe("abcd\n[... output cut: 2 bytes left out here ...]\nghij");
    expect(capture(4, "abc\nxxdefg").text()).toBe("abc\n[... output cut: 2 bytes left out here ...]\ndefg");
  });
  it("makes valid text of anything", () => {
    expect(capture(8, Buffer.from([0x61, 0xff, 0x62])).text()).toBe("a\ufffdb");
    // A character split by the cut is left out on both sides.
    expect(capture(4, "abc☃xxxxx☃xyz").text()).toBe("abc\n[... output cut: 9 bytes left out here ...]\nxyz");
  });
  it("keeps head and tail whatever the chunks are", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(fc.stringMatching(/^[a-z]{0,12}$/)), (keep, chunks) => {
        const all = chunks.join("");
        const c = capture(keep, ...chunks);
        expect(c.bytes).toBe(all.length);
        const text = c.text();
        if (all.length <= 2 * keep) expect(text).toBe(all);
        else
          expect(text).toBe(
            `${all.slice(0, keep)}\n[... output cut: ${all.length - 2 * keep} bytes left out here ...]\n${all.slice(-keep)}`,
          );
      }),
    );
  });
  it("can be shortened further when there is no room for it", () => {
    expect(capture(4, "abcdefghij").text(1)).toBe("a\n[... output cut: 8 bytes left out here ...]\nj");
    expect(capture(4, "abc").text(1)).toBe("a\n[... output cut: 1 bytes left out here ...]\nc");
  });
});
