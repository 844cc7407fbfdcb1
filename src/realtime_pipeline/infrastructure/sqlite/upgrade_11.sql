-- Late events: records that no window of some definitions counts. `missed` is JSON, definition -> number of windows.
CREATE TABLE late_events (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, missed TEXT NOT NULL, occurred_at_ms INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, key BLOB, value BLOB NOT NULL, appended_at_ms INTEGER NOT NULL, origin TEXT,
    customer_id TEXT,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;
CREATE INDEX late_events_of_customers ON late_events (customer_id) WHERE customer_id IS NOT NULL;

-- A snapshot is of cells and views, which are the same: it stays valid.
UPDATE snapshots SET schema = 11 WHERE schema = 10;
