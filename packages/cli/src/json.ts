import type { operatorWire } from "@slipway/shared/wire";

type MessageSchema =
  | typeof operatorWire.ReportSchema
  | { readonly fields: (typeof operatorWire.ReportSchema)["fields"] };

/**
 * A message as plain JSON values, for tools: every field is there (empty lists, false, 0), 64-bit numbers are numbers
 * (times and counters, far below 2^53), what is absent is null.
 */
export function toPlain(schema: MessageSchema, message: unknown): Record<string, unknown> {
  const values = message as Record<string, unknown>;
  const out: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const value = values[field.localName];
    switch (field.fieldKind) {
      case "message":
        out[field.localName] = value === undefined ? null : toPlain(field.message, value);
        break;
      case "list":
        out[field.localName] = ((value as unknown[] | undefined) ?? []).map((item) =>
          field.listKind === "message" ? toPlain(field.message, item) : scalar(item),
        );
        break;
      case "map":
        out[field.localName] = { ...(value as object | undefined) };
        break;
      default:
        out[field.localName] = scalar(value);
    }
  }
  return out;
}

function scalar(value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : (value ?? null);
}
