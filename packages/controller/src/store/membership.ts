import type { StoreDatabase } from "./database.ts";

/**
 * Which certificates speak for which host. Until a host is removed, every certificate of the authority that names it does.
 * From then on only those do that were issued after its removal: by their fingerprints, since clocks cannot tell two
 * certificates of one second apart.
 */
export class MembershipStore {
  readonly #db: StoreDatabase;
  readonly #sql;

  constructor(db: StoreDatabase) {
    this.#db = db;
    this.#sql = {
      issued: db.prepare(`insert or ignore into certificates (fingerprint, host, issued_at) values (?, ?, ?)`),
      accepts: db.prepare(
        `select not exists (select 1 from removed_hosts where host = :host)
           or exists (select 1 from certificates where fingerprint = :fingerprint and host = :host and revoked_at = 0) as ok`,
      ),
      revoke: db.prepare(`update certificates set revoked_at = ? where host = ? and revoked_at = 0`),
      expireTokens: db.prepare(`update tokens set expires_at = 0 where host = ? and used_at = 0`),
      forget: db.prepare(`delete from hosts where name = ?`),
      remove: db.prepare(
        `insert into removed_hosts (host, removed_at, removed_by) values (?, ?, ?)
         on conflict (host) do update set removed_at = excluded.removed_at, removed_by = excluded.removed_by`,
      ),
    };
  }

  /** Records a certificate; `fingerprint` is the lower-case hex SHA-256 of its DER form. */
  issued(fingerprint: string, host: string, atMs: number): void {
    this.#db.write(() => this.#sql.issued.run(fingerprint, host, atMs));
  }

  /** May this certificate, which names the host, speak for it? */
  accepts(host: string, fingerprint: string): boolean {
    return this.#db.read(() => this.#sql.accepts.get({ host, fingerprint }) as { ok: number }).ok === 1;
  }

  /** Forgets a host: its facts, its certificates and the tokens that wait for it, in one transaction. */
  remove(host: string, who: string, atMs: number): void {
    this.#db.write(() => {
      this.#sql.revoke.run(atMs, host);
      this.#sql.expireTokens.run(host);
      this.#sql.forget.run(host);
      this.#sql.remove.run(host, atMs, who);
    });
  }
}
