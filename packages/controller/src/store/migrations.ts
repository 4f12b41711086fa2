/**
 * The store's schema, one entry a version; `user_version` tells which were applied. Entries are never changed once
 * released: a controller may come from any of them.
 *
 *   events   the logs of all runs; everything about a run can be computed from its events
 *   runs     one line per run, for lists and for repeated start requests  } projections of events,
 *   ledger   what runs changed, and what of it still stands               } written in the same transaction
 *   hosts    what each agent said last, of itself and of what runs there, and the operator's cordon
 *   pools    every pool file that was applied; the last one is in force
 *   audit    what operators did and were refused
 *   tokens   enrolment tokens; only the hash of the secret is kept
 *   pings    ends of no-op steps
 *   clock    the engine clock, saved now and then
 *   durations  how long things took, the newest per host and kind; each written with the event that taught it
 *   certificates   those of agents that were issued here    } a removed host's certificates count only
 *   removed_hosts  hosts that an operator removed           } if they were issued after its removal
 */
export const migrations: readonly string[] = [
  `
  create table events (
    run text not null,
    seq integer not null,
    t integer not null,
    at integer not null,
    type text not null,
    json text not null,
    primary key (run, seq)
  ) strict;
  create table runs (
    id text primary key,
    state text not null,
    outcome text not null default '',
    started_at integer not null,
    ended_at integer not null default 0,
    started_by text not null,
    request_id text not null unique
  ) strict;
  create index runs_active on runs (started_at) where state <> 'ended';
  create table ledger (
    id text primary key,
    run text not null references runs (id),
    host text not null,
    change text not null,
    undo text not null,
    opened_at integer not null,
    closed_at integer not null default 0,
    note text not null default ''
  ) strict;
  create index ledger_open on ledger (opened_at) where closed_at = 0;
  create table hosts (
    name text primary key,
    facts text not null,
    first_seen_at integer not null,
    last_seen_at integer not null,
    cordoned integer not null default 0,
    cordon_reason text not null default '',
    cordoned_by text not null default '',
    cordoned_at integer not null default 0
  ) strict;
  create table audit (
    id integer primary key,
    at integer not null,
    who text not null,
    role text not null,
    method text not null,
    what text not null,
    result text not null
  ) strict;
  create table tokens (
    id text primary key,
    secret_hash text not null,
    host text not null default '',
    created_by text not null,
    expires_at integer not null,
    used_at integer not null default 0,
    used_by text not null default ''
  ) strict;
  create index tokens_used on tokens (used_by) where used_by <> '';
  create table pings (
    id integer primary key,
    ping text not null,
    host text not null,
    at integer not null,
    verdict text not null
  ) strict;
  create table clock (
    id integer primary key check (id = 1),
    engine_ms integer not null
  ) strict;
  `,
  `
  create table certificates (
    fingerprint text primary key,
    host text not null,
    issued_at integer not null,
    revoked_at integer not null default 0
  ) strict;
  create index certificates_host on certificates (host) where revoked_at = 0;
  create table removed_hosts (
    host text primary key,
    removed_at integer not null,
    removed_by text not null
  ) strict;
  `,
  `
  alter table ledger add column kind text not null default 'cordon';
  alter table ledger add column subject text not null default '';
  alter table ledger add column name text not null default '';
  alter table hosts add column inventory blob;
  alter table hosts add column inventory_read_at integer not null default 0;
  create table pools (
    number integer primary key,
    at integer not null,
    who text not null,
    file text not null,
    sha256 text not null,
    text text not null
  ) strict;
  `,
  `
  create table durations (
    id integer primary key,
    run text not null,
    seq integer not null,
    host text not null,
    cluster text not null,
    kind text not null,
    ms integer not null,
    mib integer not null,
    target text not null,
    unique (run, seq)
  ) strict;
  create index durations_newest on durations (host, kind, id);
  `,
];
