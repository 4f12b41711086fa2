/** Keeps the beginning and the end of a stream of any length in constant memory. */
export class Capture {
  readonly #head: Buffer;
  readonly #tail: Buffer;
  #headLength = 0;
  /** Bytes that went past the head; the tail is a ring over them. */
  #past = 0;

  constructor(keepBytes: number) {
    this.#head = Buffer.alloc(keepBytes);
    this.#tail = Buffer.alloc(keepBytes);
  }

  get bytes(): number {
    return this.#headLength + this.#past;
  }

  add(chunk: Buffer): void {
    const forHead = Math.min(chunk.length, this.#head.length - this.#headLength);
    chunk.copy(this.#head, this.#headLength, 0, forHead);
    this.#headLength += forHead;
    const ring = this.#tail.length;
    const rest = chunk.subarray(forHead);
    let at = (this.#past + Math.max(0, rest.length - ring)) % ring;
    this.#past += rest.length;
    for (let last = rest.subarray(-ring); last.length > 0; ) {
      const part = last.subarray(0, ring - at);
      part.copy(this.#tail, at);
      last = last.subarray(part.length);
      at = 0;
    }
  }

  /** What was kept, as valid text, the cut marked on a line of its own. `keepBytes` shortens both parts further. */
  text(keepBytes = this.#head.length): string {
    const ring = this.#tail.length;
    const at = this.#past % ring;
    const tail =
      this.#past <= ring
        ? this.#tail.subarray(0, this.#past)
        : Buffer.concat([this.#tail.subarray(at), this.#tail.subarray(0, at)]);
    const head = this.#head.subarray(0, this.#headLength);
    if (this.#past <= ring && this.bytes <= 2 * keepBytes) return new TextDecoder().decode(Buffer.concat([head, tail]));
    const first = head.subarray(0, keepBytes);
    const last = keepBytes === 0 ? Buffer.alloc(0) : (tail.length > 0 ? tail : head).subarray(-keepBytes);
    const cut = this.bytes - first.length - last.length;
    // `stream` leaves out a character that the cut splits; continuation bytes at the start of the end are its other half.
    const before = new TextDecoder().decode(first, { stream: true });
    let skip = 0;
    while (skip < 3 && ((last[skip] ?? 0) & 0xc0) === 0x80) skip++;
    const newline = before === "" || before.endsWith("\n") ? "" : "\n";
    return `${before}${newline}[... output cut: ${cut} bytes left out here ...]\n${new TextDecoder().decode(last.subarray(skip))}`;
  }
}
