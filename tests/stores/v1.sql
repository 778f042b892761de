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
    journal_mark    TEXT NOT NULL DEFAULT 'none', -- digest of the last line that was read
    clock_offset_ms INTEGER,             -- host's clock less the client's
    last_seen       INTEGER
) STRICT;
INSERT INTO host VALUES(1,'local','r1',NULL,'g',512,'after-512',NULL,1700000000000);
CREATE TABLE host_list (
    ordinal INTEGER PRIMARY KEY,
    hosts   TEXT NOT NULL UNIQUE CHECK (json_valid(hosts))
) STRICT;
CREATE TABLE apply (
    ordinal    INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    started_at INTEGER,
    ended_at   INTEGER,
    sp_version TEXT,
    exit_code  INTEGER
) STRICT;
INSERT INTO apply VALUES(1,'a1',1700000000000,1700000000000,'0.1.0',75);
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
INSERT INTO unit VALUES(1,'job',X'00000000000000000000000000000007',X'00000000000000000000000000000007','n=0',NULL,'{"n":0,"kind":"x"}',NULL,NULL);
INSERT INTO unit VALUES(2,'job',X'00000000000000010000000000000007',X'00000000000000010000000000000007','n=1',2,'{"n":1,"kind":"x"}',NULL,NULL);
INSERT INTO unit VALUES(3,'job',X'00000000000000020000000000000007',X'00000000000000020000000000000007','n=2',1,'{"n":2,"kind":"x"}',NULL,NULL);
INSERT INTO unit VALUES(4,'job',X'00000000000000030000000000000007',X'00000000000000030000000000000007','n=3',0,'{"n":3,"kind":"x"}',1,0);
INSERT INTO unit VALUES(5,'setup',X'00000000000000090000000000000007',NULL,'',NULL,'{}',NULL,NULL);
CREATE TABLE job_parts (
    unit  INTEGER PRIMARY KEY REFERENCES unit (ordinal),
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
INSERT INTO attempt VALUES(1,1,1,1,1,'b1','succeeded','ok','',0,NULL,'runner',NULL,'none',NULL,NULL,0,1700000000000,1700000000250,1700000002500,2.25,NULL,1,'kept');
INSERT INTO attempt VALUES(2,2,1,1,1,'b1','failed','marker-missing','done file 1 is missing',0,NULL,'runner','files.0','none',NULL,NULL,0,1700000000000,1700000000250,1700000002500,2.25,NULL,1,'kept');
INSERT INTO attempt VALUES(3,3,1,1,1,'b1','intended','','',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1700000000000,NULL,NULL,NULL,NULL,1,'kept');
INSERT INTO attempt VALUES(4,2,1,2,1,NULL,'running','','',NULL,NULL,NULL,NULL,NULL,0,NULL,0,NULL,1700000000000,NULL,NULL,NULL,NULL,'kept');
INSERT INTO attempt VALUES(5,5,1,1,1,NULL,'succeeded','ok','',0,NULL,'runner',NULL,'none',NULL,NULL,0,NULL,1700000000250,1700000002500,2.25,NULL,NULL,'kept');
COMMIT;
