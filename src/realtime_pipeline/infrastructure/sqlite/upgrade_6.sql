-- A log that may lose its oldest records, and snapshots to build a store again from.

-- The log's partitions: `first` is the position of the first record still held, `next` that of the next one to come,
-- `size` the bytes of all keys and values.
CREATE TABLE IF NOT EXISTS log_partitions (
    partition INTEGER PRIMARY KEY, first INTEGER NOT NULL, next INTEGER NOT NULL, size INTEGER NOT NULL
);
INSERT OR IGNORE INTO log_partitions
    SELECT partition, min(position), 1 + max(position), sum(length(value) + ifnull(length(key), 0)) FROM records
    GROUP BY partition;
-- Somebody has deleted all records of these: their positions are not used again.
INSERT OR IGNORE INTO log_partitions SELECT partition, position, position, 0 FROM cells WHERE position > 0;

-- An older program that has the file open still would append without writing `log_partitions`. It writes six columns:
-- with a seventh it fails.
ALTER TABLE records ADD COLUMN unused INTEGER;

-- Copies of cells and views; `positions` is JSON, partition -> position. A chunk is MessagePack, packed by zlib.
CREATE TABLE IF NOT EXISTS snapshots (
    number INTEGER PRIMARY KEY AUTOINCREMENT, schema INTEGER NOT NULL, taken_at_ms INTEGER NOT NULL,
    positions TEXT NOT NULL, is_complete INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshot_chunks (
    snapshot INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, rows BLOB NOT NULL,
    PRIMARY KEY (snapshot, number)
);
-- Digests of customers who were forgotten, and may be in a snapshot still: in that of `commit_number`, the newest one that had
-- begun, or in an older one.
CREATE TABLE IF NOT EXISTS snapshot_forgotten (digest TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
