-- A checkpoint of format 1, as `sqlite3 .dump` writes it. Never changed: old files must open as long as there is sp.
PRAGMA application_id = 0x73705f63;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta (
    ordinal     INTEGER PRIMARY KEY CHECK (ordinal = 1),
    campaign    TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL            -- version of sp
) STRICT;
INSERT INTO meta VALUES(1,'camp',1700000000000,'0.1.0');
CREATE TABLE host (
    ordinal         INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    root_id         TEXT,
    machine_id      TEXT,
    journal_gen     TEXT,
    journal_offset  INTEGER NOT NULL DEFAULT 0 CHECK (journal_offset >= 0),
    journal_mark    TEXT NOT NULL DEFAULT 'none',
    clock_offset_ms INTEGER,             -- host's clock less the client's
    last_seen       INTEGER
) STRICT;
INSERT INTO host VALUES(1,'local','r1',NULL,'g',512,'none',NULL,1700000000000);
CREATE TABLE host_list (
    ordinal INTEGER PRIMARY KEY,
    hosts   TEXT NOT NULL UNIQUE CHECK (json_valid(hosts))
) STRICT;
INSERT INTO host_list VALUES(1,'[{"name":"local","slots":1}]');
CREATE TABLE apply (
    ordinal    INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    started_at INTEGER,
    ended_at   INTEGER,
    sp_version TEXT,
    exit_code  INTEGER
) STRICT;
INSERT INTO apply VALUES(1,'a1',1700000000000,1700000000000,'0.1.0',75);
CREATE TABLE job (
    ordinal        INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    cell           BLOB CHECK (length(cell) = 16),
    name           TEXT NOT NULL,
    idx            INTEGER CHECK (idx >= 0),
    params         TEXT NOT NULL CHECK (json_valid(params)),
    accepted_from  INTEGER REFERENCES job (ordinal) CHECK (accepted_from <> ordinal),
    accepted_after INTEGER CHECK ((accepted_after IS NULL) = (accepted_from IS NULL))  -- the newest attempt at that time
) STRICT;
INSERT INTO job VALUES(1,X'00000000000000000000000000000007',X'00000000000000000000000000000007','n=0',NULL,'{"n":0,"kind":"x"}',NULL,NULL);
INSERT INTO job VALUES(2,X'00000000000000010000000000000007',X'00000000000000010000000000000007','n=1',2,'{"n":1,"kind":"x"}',NULL,NULL);
INSERT INTO job VALUES(3,X'00000000000000020000000000000007',X'00000000000000020000000000000007','n=2',1,'{"n":2,"kind":"x"}',NULL,NULL);
INSERT INTO job VALUES(4,X'00000000000000030000000000000007',X'00000000000000030000000000000007','n=3',0,'{"n":3,"kind":"x"}',1,0);
CREATE TABLE job_parts (
    job   INTEGER PRIMARY KEY REFERENCES job (ordinal),
    parts TEXT NOT NULL CHECK (json_valid(parts))
) STRICT;
INSERT INTO job_parts VALUES(1,'{"shell-command":"./bench --n 0 --out {{ job.out_dir }}","shell":["bash"],"working-dir":"."}');
INSERT INTO job_parts VALUES(2,'{"shell-command":"./bench --n 1 --out {{ job.out_dir }}","shell":["bash"],"working-dir":"."}');
INSERT INTO job_parts VALUES(3,'{"shell-command":"./bench --n 2 --out {{ job.out_dir }}","shell":["bash"],"working-dir":"."}');
INSERT INTO job_parts VALUES(4,'{"shell-command":"./bench --n 3 --out {{ job.out_dir }}","shell":["bash"],"working-dir":"."}');
CREATE TABLE provenance (
    ordinal INTEGER PRIMARY KEY,
    body    TEXT NOT NULL UNIQUE CHECK (json_valid(body))
) STRICT;
INSERT INTO provenance VALUES(1,'{"git_rev":"abc"}');
CREATE TABLE attempt (
    ordinal    INTEGER PRIMARY KEY,
    job        INTEGER NOT NULL REFERENCES job (ordinal),
    host       INTEGER NOT NULL REFERENCES host (ordinal),
    n          INTEGER NOT NULL CHECK (n > 0),
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
    UNIQUE (job, host, n),
    CHECK (state <> 'succeeded' OR exit_code IS NOT NULL)
) STRICT;
INSERT INTO attempt VALUES(1,1,1,1,1,'b1','succeeded','ok','',0,NULL,'runner',NULL,'none',NULL,NULL,0,1700000000000,1700000000250,1700000002500,2.25,NULL,1,'kept');
INSERT INTO attempt VALUES(2,2,1,1,1,'b1','failed','marker-missing','',0,NULL,'runner','files.0','none',NULL,NULL,0,1700000000000,1700000000250,1700000002500,2.25,NULL,1,'kept');
INSERT INTO attempt VALUES(3,3,1,1,1,'b1','intended','','',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1700000000000,NULL,NULL,NULL,NULL,1,'kept');
INSERT INTO attempt VALUES(4,2,1,2,1,NULL,'running','','',NULL,NULL,NULL,NULL,NULL,0,NULL,0,NULL,1700000000000,NULL,NULL,NULL,NULL,'kept');
CREATE TABLE setup (
    ordinal    INTEGER PRIMARY KEY,
    id         BLOB NOT NULL CHECK (length(id) = 16),
    host       INTEGER NOT NULL REFERENCES host (ordinal),
    n          INTEGER NOT NULL CHECK (n > 0),
    apply      INTEGER NOT NULL REFERENCES apply (ordinal),
    state      TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'timeout', 'stalled', 'oom', 'cancelled',
                                              'lost')),
    reason     TEXT NOT NULL DEFAULT '',
    detail     TEXT NOT NULL DEFAULT '',
    exit_code  INTEGER CHECK (exit_code BETWEEN 0 AND 255),
    started_at INTEGER,
    ended_at   INTEGER,
    elapsed_s  REAL,
    UNIQUE (id, host, n),
    CHECK (state <> 'succeeded' OR exit_code IS NOT NULL)
) STRICT;
CREATE TABLE event (
    ordinal INTEGER PRIMARY KEY,
    apply   INTEGER NOT NULL REFERENCES apply (ordinal),
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    body    TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
COMMIT;
