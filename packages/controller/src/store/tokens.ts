import type { StoreDatabase } from "./database.ts";

/** An enrolment token as it is kept: its secret is not. */
export interface TokenRecord {
  readonly id: string;
  /** Lower-case hex SHA-256 of the secret. */
  readonly secretHash: string;
  /** The host it is good for; empty: any that does not exist yet. */
  readonly host: string;
  readonly createdBy: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly expiresAtMs: number;
  /** 0 while it is not used. */
  readonly usedAtMs: number;
  readonly usedBy: string;
}

/** Enrolment tokens. Another process (`slipway-controller token`) may add to them at any time. */
export class TokenStore {
  readonly #db: StoreDatabase;
  readonly #sql;

  constructor(db: StoreDatabase) {
    this.#db = db;
    this.#sql = {
      insert: db.prepare(`insert into tokens (id, secret_hash, host, created_by, expires_at) values (?, ?, ?, ?, ?)`),
      get: db.prepare(
        `select id, secret_hash as secretHash, host, created_by as createdBy, expires_at as expiresAtMs,
         used_at as usedAtMs, used_by as usedBy from tokens where id = ?`,
      ),
      use: db.prepare(`update tokens set used_at = ?, used_by = ? where id = ? and used_at = 0`),
      enrolled: db.prepare(
        `select 1 from tokens where used_by = :host
           and used_at > coalesce((select removed_at from removed_hosts where host = :host), 0)`,
      ),
    };
  }

  add(token: Omit<TokenRecord, "usedAtMs" | "usedBy">): void {
    this.#db.write(() =>
      this.#sql.insert.run(token.id, token.secretHash, token.host, token.createdBy, token.expiresAtMs),
    );
  }

  get(id: string): TokenRecord | undefined {
    return this.#db.read(() => this.#sql.get.get(id) as TokenRecord | undefined);
  }

  /** Marks it used; false when somebody else was first. */
  use(id: string, host: string, atMs: number): boolean {
    return this.#db.write(() => this.#sql.use.run(atMs, host, id).changes === 1);
  }

  /** Has a host of this name been given a certificate since it was removed last, if ever? */
  enrolled(host: string): boolean {
    return this.#db.read(() => this.#sql.enrolled.get({ host })) !== undefined;
  }
}
