import { z } from "zod";
import { fail, oneLine } from "./answer.ts";

/**
 * Reads JSON of a known shape. Integers beyond 2^53, such as etcd's ids, come as their digits and never rounded; keys that the shape
 * does not name are ignored, a value of another kind is unreadable.
 */
export function readJson<Shape extends z.ZodType>(text: string, what: string, shape: Shape): z.output<Shape> {
  let value: unknown;
  try {
    // The third argument holds the digits as they were written (TC39 proposal-json-parse-with-source, in Node since 21).
    const exact = (_key: string, parsed: unknown, context?: { readonly source?: string }): unknown =>
      typeof parsed === "number" && Number.isInteger(parsed) && !Number.isSafeInteger(parsed)
        ? (context?.source ?? fail(`${what}: a number is too large to be read`))
        : parsed;
    value = JSON.parse(text, exact);
  } catch (thrown) {
    fail(`${what}: no JSON (${oneLine(thrown instanceof Error ? thrown.message : String(thrown), 120)})`);
  }
  const read = shape.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  return fail(`${what}: ${issue?.path.map(String).join(".") || "the answer"}: ${issue?.message ?? "unexpected"}`);
}

/** A count: a whole number that is not negative. */
export const count = z.number().int().nonnegative();
/** Digits of an unsigned 64-bit number, as text: what gRPC gateways write. */
export const uint64 = z.string().regex(/^\d{1,20}$/, "no unsigned number");
