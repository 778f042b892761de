-- server.db on a host: an index of all jobs of the root, for people and scripts. Nothing rests on it: a runner writes it
-- anew from the files of the attempts, so what is changed here is lost, and the file may be removed at any time.
PRAGMA application_id = 0x73705f73;
PRAGMA user_version = 1;
CREATE TABLE jobs (
    id           TEXT NOT NULL,
    campaign     TEXT NOT NULL,
    instance     TEXT NOT NULL,        -- which living copy of the campaign, see `sp help instances`
    user         TEXT NOT NULL,
    command      TEXT,                 -- without its environment, so without secrets
    status       TEXT NOT NULL,        -- queued, running, or as `sp help states` lists them
    session      TEXT,                 -- of tmux (`tmux -L sp`), while the job runs
    queued_at    TEXT,                 -- RFC 3339 in UTC by the clock of the host, like the next two
    started_at   TEXT,
    completed_at TEXT,
    exit_code    INTEGER,
    error        TEXT,                 -- why it did not succeed: a reason of `sp help states`
    log          TEXT,                 -- path of the file
    progress     TEXT,                 -- what the job last told; no job can tell it yet
    attempt      INTEGER NOT NULL,     -- the newest, which the other columns are about
    PRIMARY KEY (campaign, instance, id)
);
CREATE INDEX jobs_status ON jobs (status);
CREATE INDEX jobs_user ON jobs (user);
CREATE INDEX jobs_queued ON jobs (queued_at);
