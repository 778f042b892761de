-- The checkpoint, format 1: what the client remembers of one campaign. Never edited once released; a change is a new
-- migration. Rows are keyed by integer ordinals, so that ids and names stand once. Moments are unix milliseconds.

-- "sp_c": tells the file from any other SQLite database.
PRAGMA application_id = 0x73705f63;

-- One row: whose checkpoint this is.
CREATE TABLE meta (
    ordinal     INTEGER PRIMARY KEY CHECK (ordinal = 1),
    campaign    TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL            -- version of sp
) STRICT;

-- Hosts that were ever asked. `journal_*`: how far the host's journal has been read; rows and offset move together.
CREATE TABLE host (
    ordinal         INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    root_id         TEXT,
    machine_id      TEXT,
    journal_gen     TEXT,
    journal_offset  INTEGER NOT NULL DEFAULT 0 CHECK (journal_offset >= 0),
    journal_mark    TEXT NOT NULL DEFAULT 'none', -- digest of the last line that was read
    clock_offset_ms INTEGER,             -- host's clock less the client's
    last_seen       INTEGER
) STRICT;

-- Lists of hosts that jobs were dealt by, here or by other clients, as JSON: which host may have a job that none of those
-- that answer knows.
CREATE TABLE host_list (
    ordinal INTEGER PRIMARY KEY,
    hosts   TEXT NOT NULL UNIQUE CHECK (json_valid(hosts))
) STRICT;

-- Invocations of `sp apply`. One that was only met in a host's records has nothing but its id.
CREATE TABLE apply (
    ordinal    INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    started_at INTEGER,
    ended_at   INTEGER,
    sp_version TEXT,
    exit_code  INTEGER
) STRICT;

-- What hosts attempt: jobs that were planned or met on a host, and setups. `idx` is the place in the newest applied plan, NULL
-- when it is obsolete. A job that only a host knows has neither cell nor params, and so has a setup.
CREATE TABLE unit (
    ordinal        INTEGER PRIMARY KEY,
    kind           TEXT NOT NULL CHECK (kind IN ('job', 'setup')),
    id             BLOB NOT NULL CHECK (length(id) = 16),
    cell           BLOB CHECK (length(cell) = 16),
    name           TEXT NOT NULL DEFAULT '',
    idx            INTEGER CHECK (idx >= 0),
    params         TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(params)),
    accepted_from  INTEGER REFERENCES unit (ordinal) CHECK (accepted_from <> ordinal),
    accepted_after INTEGER CHECK ((accepted_after IS NULL) = (accepted_from IS NULL)), -- the newest attempt at that time
    UNIQUE (id, kind),
    CHECK (kind = 'job' OR (cell IS NULL AND idx IS NULL AND accepted_from IS NULL))
) STRICT;

-- What a job's id was computed from. Apart from `unit`, which is read at every start.
CREATE TABLE job_parts (
    unit  INTEGER PRIMARY KEY REFERENCES unit (ordinal),
    parts TEXT NOT NULL CHECK (json_valid(parts))
) STRICT;

-- Under what circumstances attempts were handed over; most attempts of an apply share one row.
CREATE TABLE provenance (
    ordinal INTEGER PRIMARY KEY,
    body    TEXT NOT NULL UNIQUE CHECK (json_valid(body))
) STRICT;

-- `intended` is written before the host is asked; every other state is what the host said.
CREATE TABLE attempt (
    ordinal    INTEGER PRIMARY KEY,
    unit       INTEGER NOT NULL REFERENCES unit (ordinal),
    host       INTEGER NOT NULL REFERENCES host (ordinal),
    n          INTEGER NOT NULL CHECK (n BETWEEN 1 AND 999999999),
    apply      INTEGER NOT NULL REFERENCES apply (ordinal),
    batch      TEXT,                     -- hash of the file that handed it over
    state      TEXT NOT NULL CHECK (state IN ('intended', 'queued', 'running', 'succeeded', 'failed', 'timeout',
                                              'stalled', 'oom', 'cancelled', 'lost')),
    reason     TEXT NOT NULL DEFAULT '',
    detail     TEXT NOT NULL DEFAULT '',
    exit_code  INTEGER CHECK (exit_code BETWEEN 0 AND 255),
    signal     TEXT,
    witness    TEXT,                     -- who wrote the last record
    marker     TEXT,                     -- the done marker that did not hold
    leftovers  TEXT,                     -- what became of processes it left behind
    slot       INTEGER,
    session    TEXT,
    orphan     INTEGER NOT NULL DEFAULT 0 CHECK (orphan IN (0, 1)),
    queued_at  INTEGER,                  -- the client's clock
    started_at INTEGER,                  -- the host's clock, like `ended_at`
    ended_at   INTEGER,
    elapsed_s  REAL,
    moved_to   TEXT,                     -- the host that got the job instead; only where `reason` is `moved`
    provenance INTEGER REFERENCES provenance (ordinal),
    files      TEXT NOT NULL DEFAULT 'kept' CHECK (files IN ('kept', 'removed-by-gc', 'records-gone')),
    UNIQUE (unit, host, n),
    CHECK (state <> 'succeeded' OR exit_code IS NOT NULL)
) STRICT;
