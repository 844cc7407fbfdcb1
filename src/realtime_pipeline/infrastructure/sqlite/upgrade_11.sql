-- Results of windows that are final, and how far they are written. `key` and `result` are JSON.
CREATE TABLE window_results (
    fingerprint TEXT NOT NULL, start_ms INTEGER NOT NULL, key TEXT NOT NULL, written_at_ms INTEGER NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (fingerprint, start_ms, key)
) WITHOUT ROWID;
CREATE INDEX window_results_by_age ON window_results (fingerprint, written_at_ms, start_ms);
CREATE TABLE window_progress (
    fingerprint TEXT PRIMARY KEY, emitted_ms INTEGER NOT NULL, settled_ms INTEGER NOT NULL, marked_ms INTEGER NOT NULL,
    marked_at_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- A snapshot of schema 10 lacks nothing: results stay when the store is rebuilt.
UPDATE snapshots SET schema = 11 WHERE schema = 10;
