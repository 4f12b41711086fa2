/**
 * The journal's schema, one entry a version; `user_version` tells which were applied. Entries are never changed once
 * released: a host may come from any of them.
 *
 *   step    one row per key, for ever open until ended, then kept for people
 *   outbox  what the controller has not acknowledged yet; ids are never used twice
 *   cordon  at most one row: who keeps instances away from this host
 *   instance  the newest life of every instance that this host has heard of
 */
export const migrations: readonly string[] = [
  `
  create table step (
    id integer primary key,
    key text not null unique,
    state text not null check (state in ('accepted', 'ended')),
    boot_id text not null,
    accepted_at_ms integer not null,
    spec text not null,
    hook text,
    cancel_reason text,
    result text
  ) strict;
  create index step_open on step (id) where state = 'accepted';
  create table outbox (
    id integer primary key autoincrement,
    step integer not null references step (id),
    kind text not null check (kind in ('accepted', 'ended'))
  ) strict;
  create index outbox_step on outbox (step);
  `,
  // How often the machine was asked to reboot for a step.
  "alter table step add column reboots_asked integer not null default 0",
  `
  create table cordon (
    id integer primary key check (id = 1),
    holder text not null check (holder <> ''),
    reason text not null
  ) strict;
  create table instance (uuid text primary key, generation integer not null) strict, without rowid;
  `,
];
