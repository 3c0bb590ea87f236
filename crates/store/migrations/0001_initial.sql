-- The log: the only table that cannot be computed again from another one.
-- hash = BLAKE3(hash of the entry before || idx || format || body).
CREATE TABLE log (
    idx    INTEGER PRIMARY KEY,
    format INTEGER NOT NULL,
    body   BLOB NOT NULL,
    hash   BLOB NOT NULL
) STRICT;

-- What each entry led to, and the state digest after it.
CREATE TABLE events (
    idx    INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    body   BLOB NOT NULL
) STRICT;

-- Two places in the log: `log_start` (entries up to it were forgotten) and
-- `checkpoint` (the rows of `live` stand as after it).
CREATE TABLE anchors (
    name     TEXT PRIMARY KEY,
    idx      INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    log_hash BLOB NOT NULL,
    seal     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Live rows as of the checkpoint.
CREATE TABLE live (
    kind INTEGER NOT NULL,
    key  BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- Tasks that are final, in the order in which they became so. Columns before
-- `body` repeat what filters need; `state` is the code of the model.
CREATE TABLE tasks (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    run         BLOB,
    state       INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    name        TEXT NOT NULL,
    body        BLOB NOT NULL
) STRICT;
CREATE INDEX tasks_by_run ON tasks (run) WHERE run IS NOT NULL;
-- Most tasks succeed: those are found by a scan, all others by this index.
CREATE INDEX tasks_not_succeeded ON tasks (state) WHERE state <> 6;

-- Runs that are final, in the order in which they became so.
CREATE TABLE runs (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    state       INTEGER NOT NULL,
    finished_at INTEGER,
    name        TEXT NOT NULL,
    body        BLOB NOT NULL
) STRICT;

-- Which final tasks handed in which bytes.
CREATE TABLE artifacts (
    hash     BLOB NOT NULL,
    task_seq INTEGER NOT NULL,
    PRIMARY KEY (hash, task_seq)
) STRICT, WITHOUT ROWID;

-- Full text search, filled behind the history; rowid = seq.
CREATE VIRTUAL TABLE task_search USING fts5 (
    name, labels, error,
    content = '', contentless_delete = 1, tokenize = 'unicode61'
);
CREATE VIRTUAL TABLE run_search USING fts5 (
    name, labels,
    content = '', contentless_delete = 1, tokenize = 'unicode61'
);

-- Small facts: the cluster id, how far the search reaches.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
