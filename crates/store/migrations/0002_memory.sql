-- Versions of entries in shared memory. `state` is 0 written, 1 deleted, 2 expired, 3 waiting in a
-- conflict, 4 lost; the newest row below 3 says what the entry is. Columns before `body` repeat
-- what queries need, but for `state` and `expires_at`, which may change later.
CREATE TABLE memory (
    seq        INTEGER PRIMARY KEY,
    namespace  TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    expires_at INTEGER,
    blob       BLOB,
    artifact   BLOB,
    body       BLOB NOT NULL
) STRICT;
-- No two versions of a namespace have the same number, and newer ones have higher numbers: this index
-- only grows at its end.
CREATE UNIQUE INDEX memory_versions ON memory (namespace, version);
CREATE INDEX memory_by_blob ON memory (blob) WHERE blob IS NOT NULL;
CREATE INDEX memory_by_artifact ON memory (artifact) WHERE artifact IS NOT NULL;

-- Which versions an entry has, filled behind `memory`: a commit would touch a page for each of its keys.
CREATE TABLE memory_keys (
    namespace TEXT NOT NULL,
    key       TEXT NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (namespace, key, version)
) STRICT, WITHOUT ROWID;

-- Larger values, each once, by the BLAKE3 of their bytes. `packed` is 1 when `body` is compressed
-- with zstd; `bytes` is the length of the value.
CREATE TABLE memory_blobs (
    id     INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL UNIQUE,
    packed INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    body   BLOB NOT NULL
) STRICT;

-- Full text search over present entries, filled behind; rowid = seq of the version.
CREATE VIRTUAL TABLE memory_search USING fts5 (key, tags, text, tokenize = 'unicode61');
INSERT INTO memory_search (memory_search, rank) VALUES ('rank', 'bm25(4.0, 3.0, 1.0)');

-- Which version of an entry the search has.
CREATE TABLE memory_indexed (
    namespace TEXT NOT NULL,
    key       TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;

-- Where the meanings of present entries lie, filled as the search is; `body` holds little-endian
-- 32-bit floats whose squares add up to 1; `model` is empty where nobody named it. seq as in `memory`.
CREATE TABLE memory_vectors (
    seq   INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    body  BLOB NOT NULL
) STRICT;
