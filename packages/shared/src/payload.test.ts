import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_WORD_BYTES, splitPayload } from "./payload.ts";

describe("splitPayload", () => {
  test.each([
    ["", []],
    ["  \n\t ", []],
    ["param1=val1 param2=val2", ["param1=val1", "param2=val2"]],
    ["a 'b c' \"d e\"", ["a", "b c", "d e"]],
    ["''", [""]],
    ["x''y", ["xy"]],
    ["$(reboot); rm -rf / * $HOME a,b", ["$(reboot);", "rm", "-rf", "/", "*", "$HOME", "a,b"]],
    ["a\\ b \\' \\\\", ["a b", "'", "\\"]],
    ['"a\\"b \\n"', ['a"b \\n']],
    ["'a\\b\nc'", ["a\\b\nc"]],
    ["grüße ☃", ["grüße", "☃"]],
  ])("%j gives %j", (payload, words) => {
    expect(splitPayload(payload)).toEqual(words);
  });

  test.each([
    ["it's", /quote ' at character 3 is never closed/],
    ['"abc', /quote " at character 1 is never closed/],
    ["abc\\", /ends in a backslash/],
    ["a\0b", /NUL/],
    ["x".repeat(MAX_WORD_BYTES + 1), /word 1 has 131072 bytes/],
    ["a ☃ ".repeat(200_000), /1000000|bytes in all/],
  ])("refuses what cannot be meant (%#)", (payload, message) => {
    expect(() => splitPayload(payload)).toThrow(message);
  });

  test("whatever the words are, single-quoting brings them through literally", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" }).filter((w) => !w.includes("\0"))), (words) => {
        const payload = words.map((w) => `'${w.replaceAll("'", "'\\''")}'`).join(" ");
        expect(splitPayload(payload)).toEqual(words);
      }),
    );
  });
});
