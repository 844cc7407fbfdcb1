-- Late events: records that no window of some definitions counts. `missed` is JSON, definition -> number of windows.
CREATE TABLE late_events (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, missed TEXT NOT NULL, occurred_at_ms INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, key BLOB, value BLOB NOT NULL, appended_at_ms INTEGER NOT NULL, origin TEXT,
    customer_id TEXT,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;
CREATE INDEX late_events_of_customers ON late_events (customer_id) WHERE customer_id IS NOT NULL;

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
